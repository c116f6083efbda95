"""The flags of `snpe-net-run` that mean nothing here, and those that cannot be honoured.

Source: the tool's public documentation and help text, SNPE 2.14 to QAIRT 2.46. A flag that changes nothing about the
results on an emulated HTP is accepted and named; one that would change them is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snpe_tools.core.errors import UsageError

_SWITCHES = {
    "--use_dsp",
    "--use_aip",
    "--enable_cpu_fallback",
    "--userbuffer_auto",
    "--userbuffer_float",
    "--userbuffer_float_output",
    "--userbuffer_tf8",
    "--userbuffer_tf8_output",
    "--userbuffer_memorymapped",
    "--userbuffer_glbuffer",
    "--static_min_max",
    "--enable_init_cache",
    "--validate_cache",
    "--enable_htp_accelerated_init",
}
_VALUED = {
    "--perf_profile",
    "--perf_config_yaml",
    "--priority_hint",
    "--timeout",
    "--platform_options",
    "--storage_dir",
    "--userlogs",
    "--runtime_order",
    "--userbuffer_floatN",
    "--userbuffer_floatN_output",
    "--userbuffer_tfN",
    "--userbuffer_tfN_output",
}
_REFUSED = {
    "--use_gpu": "only the HTP can be emulated",
    "--enable_cpu_fxp": "only the HTP can be emulated",
    "--gpu_mode": "only the HTP can be emulated",
    "--userbuffer_uintN_output": "outputs are float32 or, with --use_native_output_files, the model's own types",
    "--inferences_per_duration": "its results would no longer belong to the inputs",
    "--resizable_dim": "a DLC of this runtime has fixed shapes",
    "--input_name": "a DLC of this runtime has fixed shapes",
    "--input_dimensions": "a DLC of this runtime has fixed shapes",
    "--udo_package_path": "custom operations cannot be emulated",
    "--data_type_map": "use --use_native_input_files and --use_native_output_files",
    "--tensor_mode": "use --use_native_input_files and --use_native_output_files",
    "--encoding_type": "inputs are read as they are",
}
_MEANT = {"--use_dsp", "--use_aip"}
"""Nothing to tell: this is the emulated DSP."""


@dataclass(frozen=True)
class Flags:
    """What was accepted without effect, and whether the call asked for the DSP."""

    ignored: tuple[str, ...]
    asked_for_dsp: bool

    def remarks(self) -> list[str]:
        """What the user should know."""
        lines = [f"Accepted, and without effect on the emulator: {', '.join(self.ignored)}."] if self.ignored else []
        if not self.asked_for_dsp:
            lines.append("Without --use_dsp snpe-net-run would use the CPU; this is always the emulated HTP.")
        return lines


def read_flags(arguments: Sequence[str]) -> Flags:
    """Understand the rest of a command line.

    Raises:
        UsageError: a flag that is unknown, lacks its value, or cannot be honoured.
    """
    given = list(_pairs(list(arguments)))
    for flag, value in given:
        _refuse(flag, value)
    ignored = tuple(f"{flag} {value}".strip() for flag, value in given if flag not in _MEANT)
    return Flags(ignored, any(flag in {*_MEANT, "--runtime_order"} for flag, _ in given))


def _pairs(arguments: list[str]) -> Iterator[tuple[str, str]]:
    while arguments:
        flag, equals, value = arguments.pop(0).partition("=")
        if flag in _VALUED and not equals:
            if not arguments:
                raise UsageError(f"{flag} needs a value.")
            value = arguments.pop(0)
        yield flag, value


def _refuse(flag: str, value: str) -> None:
    if flag in _REFUSED:
        raise UsageError(f"{flag} cannot be honoured: {_REFUSED[flag]}.")
    if flag not in _SWITCHES and flag not in _VALUED:
        raise UsageError(f"snpe-net-run has no flag {flag!r}.", "See snpe-tools net-run --help.")
    if flag == "--runtime_order" and value.split(",", maxsplit=1)[0] not in {"dsp", "aip"}:
        raise UsageError(f"--runtime_order {value} cannot be honoured: only the HTP (dsp) can be emulated.")
    if flag.startswith("--userbuffer_floatN") and value != "32":
        raise UsageError(f"{flag} {value} cannot be honoured: float raw files hold 32 bits.")
