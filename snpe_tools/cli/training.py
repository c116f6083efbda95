"""The commands that train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snpe_tools.cli import options
from snpe_tools.cli.output import finish
from snpe_tools.core.progress import say

Lessons = Annotated[
    Path, typer.Option(help="Questions to learn from: SQuAD JSON, or rows (.jsonl, .jsonl.xz).", show_default=False)
]
Evaluation = Annotated[
    str, typer.Option("--eval", help='Questions to score on: SQuAD JSON, "squad", or "" for the shipped ones.')
]
CheckpointFolder = Annotated[
    Path, typer.Option("--output", "-o", help="Checkpoint folder to write.", show_default=False)
]
TrainingRecipe = Annotated[Path | None, typer.Option(help="TOML file with settings; options below win.")]
Share = Annotated[float | None, typer.Option(help="Share of the data; below 1 for a quick trial [1].")]
Arithmetic = Annotated[str | None, typer.Option(help="auto, bf16 or float32 [auto].")]
Restart = Annotated[bool, typer.Option("--restart", help="Forget the state of a killed run.")]


def train(
    data: Lessons,
    output: CheckpointFolder,
    recipe: TrainingRecipe = None,
    base: Annotated[str | None, typer.Option(help="Pre-trained checkpoint: folder or hub name.")] = None,
    evaluation: Evaluation = "",
    epochs: Annotated[int | None, typer.Option(help="Passes over the data [5].")] = None,
    share: Share = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate [4e-5].")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows per step [32].")] = None,
    max_seq_length: Annotated[int | None, typer.Option(help="Tokens per window [384].")] = None,
    doc_stride: Annotated[int | None, typer.Option(help="Tokens that two windows share [128].")] = None,
    max_query_length: Annotated[int | None, typer.Option(help="Tokens of a question [64].")] = None,
    max_answer_length: Annotated[int | None, typer.Option(help="Tokens of an answer, when scoring [30].")] = None,
    precision: Arithmetic = None,
    seed: Annotated[int | None, typer.Option(help="Of order, dropout and new weights [0].")] = None,
    compile_: Annotated[bool | None, typer.Option("--compile", help="Let PyTorch compile the model.")] = None,
    save_dtype: Annotated[str | None, typer.Option(help="Written weights: float16 or float32 [float16].")] = None,
    restart: Restart = False,
    as_json: options.Json = False,
) -> None:
    """Fine-tune a checkpoint on questions. Scores what it made; a killed run goes on with the same result."""
    given = locals()
    from snpe_tools import train as run_train
    from snpe_tools.tasks import find_task

    task = find_task()
    settings = task.trainer().settings(recipe, given | {"compile": compile_})
    made = run_train(settings, data, output, evaluation=task.find(evaluation), restart=restart)
    say(str(made))
    _say_next(made.checkpoint)
    finish(made, as_json=as_json)


def distill(
    recipe: Annotated[
        Path, typer.Option(help="TOML file: the student's shape and the two lessons.", show_default=False)
    ],
    data: Lessons,
    text: Annotated[
        Path, typer.Option(help="Text to learn from: .txt, a folder of them, or a tar archive.", show_default=False)
    ],
    output: CheckpointFolder,
    teacher: Annotated[str | None, typer.Option(help="Question-answering checkpoint: folder or hub name.")] = None,
    evaluation: Evaluation = "",
    share: Annotated[float | None, typer.Option(help="Share of questions and text; below 1 for a trial [1].")] = None,
    precision: Arithmetic = None,
    seed: Annotated[int | None, typer.Option(help="Of order and new weights [0].")] = None,
    compile_: Annotated[bool | None, typer.Option("--compile", help="Let PyTorch compile the student.")] = None,
    restart: Restart = False,
    as_json: options.Json = False,
) -> None:
    """Teach a MobileBERT to answer as a larger model does. Scores what it made; a killed run goes on."""
    from snpe_tools import distill as run_distill
    from snpe_tools.tasks import find_task

    task = find_task()
    chosen = {"teacher": teacher, "share": share, "precision": precision, "seed": seed, "compile": compile_}
    settings = task.trainer().distill_settings(recipe, chosen)
    made = run_distill(settings, data, text, output, evaluation=task.find(evaluation), restart=restart)
    say(str(made))
    _say_next(made.checkpoint)
    finish(made, as_json=as_json)


def qat(
    model: Annotated[Path, typer.Argument(help="Fixed-shape ONNX, as export writes it.", show_default=False)],
    tokenizer: Annotated[Path, typer.Option(help="tokenizer.json of the checkpoint.", show_default=False)],
    output: options.Output,
    data: Annotated[
        Path | None,
        typer.Option(help="Questions to learn from: SQuAD JSON, or rows (.jsonl, .jsonl.xz); else the shipped ones."),
    ] = None,
    bits: Annotated[str, typer.Option("--precision", help="w8a8, w8a8-mixed, w8a16 or w16a16.")] = "w8a8",
    plan: Annotated[
        Path | None, typer.Option(help="Plan (TOML) of 8-bit activations; w8a8-mixed needs one.", show_default=False)
    ] = None,
    dynamic: Annotated[
        Path | None,
        typer.Option(help="The same model for any length, as export writes it: faster, on shorter windows."),
    ] = None,
    per_channel: Annotated[bool, typer.Option("--per-channel/--per-tensor", help="Weight encodings.")] = True,
    recipe: TrainingRecipe = None,
    evaluation: Evaluation = "",
    epochs: Annotated[int | None, typer.Option(help="Passes over the data [1].", min=1)] = None,
    questions: Annotated[
        int | None,
        typer.Option(
            "--questions",
            "--examples",
            help="So many, drawn at random; fewer are taken several times [all, once].",
            min=1,
        ),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate of the weights [3e-5].")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows per step [8].", min=1)] = None,
    max_seq_length: Annotated[int | None, typer.Option(help="With --dynamic, tokens per window [192].")] = None,
    restart: Restart = False,
    as_json: options.Json = False,
) -> None:
    """Train a model for its quantization. Writes QDQ ONNX and encodings, as quantize does; a killed run goes on."""
    from snpe_tools import qat as run_qat
    from snpe_tools.core.precision import Precision
    from snpe_tools.quantization.plan import load_plan
    from snpe_tools.quantization.simulator import QuantizationOptions
    from snpe_tools.tasks import find_task

    task = find_task()
    chosen = {"epochs": epochs, "examples": questions, "learning_rate": learning_rate, "batch_size": batch_size}
    settings = task.trainer().imitation_settings(model, recipe, chosen | {"max_seq_length": max_seq_length})
    how = QuantizationOptions(Precision.parse(bits), per_channel=per_channel, plan=load_plan(plan) if plan else None)
    asked, lessons = task.find(evaluation), data or task.practice
    made = run_qat(model, tokenizer, lessons, output, settings, how, dynamic=dynamic, evaluation=asked, restart=restart)
    say(
        f"{made.qdq}: {task.metric.label} {made.score:.2f} on {made.evaluated} {task.words.examples}; "
        f"quantized without training {made.before_score:.2f}, float {made.float_score:.2f}; "
        f"{made.steps} steps in {made.seconds / 60:.1f} min."
    )
    say(f"\nNext: snpe-tools convert {made.qdq} -o {made.qdq.name.removesuffix('.onnx').removesuffix('.qdq')}.dlc")
    finish(made.as_dict(), as_json=as_json)


def _say_next(checkpoint: Path) -> None:
    from snpe_tools.training.output import model_name

    say(f"\nNext: make dlc MODEL={model_name(checkpoint)} CHECKPOINT={checkpoint}    (this model as a DLC)")
