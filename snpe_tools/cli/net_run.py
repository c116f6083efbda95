"""`net-run`, with the flags of `snpe-net-run`, and what belongs to it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish, seconds, table
from snpe_tools.core.progress import say

if TYPE_CHECKING:
    from snpe_tools.execution.net_run import Emit, NetRunResult
    from snpe_tools.execution.net_run.profile import Profile

ANY_FLAG = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["-h", "--help"]}
_SHOWN = 12


def _version(asked: bool) -> None:
    if asked:
        from snpe_tools.execution.net_run import VERSION

        typer.echo(VERSION)
        raise typer.Exit


Container = Annotated[Path, typer.Option("--container", help="The DLC.", show_default=False)]
InputList = Annotated[
    Path, typer.Option("--input_list", help="Raw files of one inference per line.", show_default=False)
]
OutputFolder = Annotated[Path, typer.Option("--output_dir", help="Folder for Result_<i>/.")]
OutputTensors = Annotated[
    str, typer.Option("--set_output_tensors", help="Tensors to write, comma-separated; any of the graph.")
]
AllOutputs = Annotated[bool, typer.Option("--set_unconsumed_as_output", help="Write all outputs of the graph.")]
Debug = Annotated[bool, typer.Option("--debug", help="Write every tensor between the nodes too.")]
NativeInputs = Annotated[bool, typer.Option("--use_native_input_files", help="Raw files in the model's own types.")]
NativeOutputs = Annotated[
    bool, typer.Option("--use_native_output_files", help="Write the model's own types instead of float32.")
]
Duration = Annotated[float, typer.Option("--duration", help="Seconds to keep going over the list.", min=0)]
Level = Annotated[str, typer.Option("--profiling_level", help="off, basic, moderate, detailed or linting.")]
CacheMode = Annotated[
    str,
    typer.Option("--cache_compatibility_mode", help="permissive and strict use a cache, always_generate_new none."),
]
Workers = Annotated[int, typer.Option("--workers", help="Child processes; 0 takes up to two.", min=0)]
Cluster = Annotated[str, typer.Option("--cluster", help="Address of a Dask scheduler that runs them.")]
Version = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version of the tool.")
]


def net_run(
    context: typer.Context,
    container: Container,
    input_list: InputList,
    output_dir: OutputFolder = Path("output"),
    set_output_tensors: OutputTensors = "",
    set_unconsumed: AllOutputs = False,
    debug: Debug = False,
    native_inputs: NativeInputs = False,
    native_outputs: NativeOutputs = False,
    duration: Duration = 0,
    profiling_level: Level = "off",
    cache_mode: CacheMode = "permissive",
    soc: options.SocName = "sm8650",
    workers: Workers = 0,
    cluster: Cluster = "",
    as_json: options.Json = False,
    _: Version = False,
) -> None:
    """snpe-net-run on the HTP emulator. Same flags, lists, folders and text, where there is no device."""
    from snpe_tools.core.soc_names import parse_socs
    from snpe_tools.execution.net_run import NetRun, parse_cache_mode, parse_level
    from snpe_tools.execution.net_run import net_run as run_net_run
    from snpe_tools.execution.net_run.flags import read_flags
    from snpe_tools.qnn.isolation import cluster_executor

    flags = read_flags(context.args)
    for line in flags.remarks():
        say(line)
    call = NetRun(
        container=container,
        input_list=input_list,
        output_dir=output_dir,
        soc=parse_socs(soc)[0],
        set_output_tensors=tuple(name for name in set_output_tensors.split(",") if name),
        set_unconsumed_as_output=set_unconsumed,
        debug=debug,
        use_native_input_files=native_inputs,
        use_native_output_files=native_outputs,
        duration=duration,
        profiling_level=parse_level(profiling_level),
        always_generate_new=parse_cache_mode(cache_mode),
    )
    with cluster_executor(cluster) as executor:
        made = run_net_run(call, _emitter(as_json=as_json), workers=workers, executor=executor)
    _show(made)
    finish(made, as_json=as_json)


def _emitter(*, as_json: bool) -> Emit:
    """Where the tool's text goes: stdout; with --json, stderr."""
    if as_json:
        return say
    if sys.stdout.isatty():
        return typer.echo  # a progress display keeps such lines above itself
    stdout = sys.stdout
    return lambda line: typer.echo(line, file=stdout)


def _show(made: NetRunResult) -> None:
    if made.profile:
        _show_profile(made.profile, made.folder)
    each = "nothing had to be run" if made.executed == 0 else f"{seconds(made.seconds)} s each on the emulator"
    say(
        f"{made.folder}: {made.inferences} results of {_few(made.outputs)}; {made.kept} kept, {made.executed} run, "
        f"{each}, which says nothing about a device; {made.not_finite} NaN/Inf."
    )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} tensors"  # noqa: PLR2004


def _show_profile(profile: Profile, folder: Path) -> None:
    say(f"\nMedian of {profile.inferences} inferences, in {profile.unit}")
    rows = [
        (operation.name, operation.type, f"{operation.cycles:,.0f}", f"{operation.share:.1f} %")
        for operation in profile.costliest[:_SHOWN]
    ]
    table(("costliest operations", "type", "emulator cycles", "share"), rows, left=2)
    table(("type", "share"), [(kind, f"{share:.1f} %") for kind, share in list(profile.types.items())[:_SHOWN]])
    say(
        f"Quantize, Dequantize, Convert and Cast together: {profile.conversions:.1f} %. "
        f"{folder}/profile.json, and profile.trace.json for chrome://tracing or ui.perfetto.dev.\n"
    )


def install_net_run(
    folder: Annotated[
        Path | None, typer.Option(help="Where to write it; by default beside snpe-tools.", show_default=False)
    ] = None,
) -> None:
    """Install net-run as snpe-net-run. For scripts that call it by that name."""
    from snpe_tools.steps.install import install, is_on_path

    command = install(folder)
    say(f"{command}: runs snpe-tools net-run." + ("" if is_on_path(command) else " Its folder is not on PATH."))


def bundle(
    dlc: Annotated[Path, typer.Argument(help="The DLC.", show_default=False)],
    inputs: options.InputsFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder, or file .tar.gz, to write; replaced.", show_default=False)
    ],
    index: Annotated[int, typer.Option(help="Which inference of the list, from 0.", min=0)] = 0,
    onnx: Annotated[
        Path | None, typer.Option(help="ONNX model whose results on the CPU are right.", show_default=False)
    ] = None,
    soc: options.SocName = "sm8650",
    native: options.Native = False,
    as_json: options.Json = False,
) -> None:
    """One inference to repeat elsewhere. DLC, inputs, golden outputs, manifest: onnxruntime-qnn's bundle layout."""
    from snpe_tools.core.soc_names import parse_socs
    from snpe_tools.steps.bundle import bundle as run_bundle

    made = run_bundle(dlc, inputs, output, index=index, model=onnx, soc=parse_socs(soc)[0], native=native)
    say(
        f"{made.path}: graph {made.graph}, golden outputs from {made.goldens}; "
        f"{made.different} of {made.outputs} outputs of the emulator are other bits."
    )
    finish(made, as_json=as_json)
