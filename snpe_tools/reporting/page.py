"""The page from the documents: everything the template shows."""

from __future__ import annotations

import shlex
from typing import Any

from snpe_tools.reporting.documents import Accuracy, Documents, Layers
from snpe_tools.reporting.plots import draw_noise, draw_ranges, draw_scores
from snpe_tools.reporting.trials import draw_costs, draw_trials
from snpe_tools.tasks import ExampleRecord, Sheet, find_task

_EXAMPLES = 12
_WORST = 12
_HASH = 16


def render(documents: Documents) -> str:
    """The HTML page, which needs nothing else: no script, no network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("snpe_tools.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["db"] = lambda value: "equal" if value is None else f"{value:.1f}"
    return environment.get_template("page.html.j2").render(_content(documents))


def _content(documents: Documents) -> dict[str, Any]:
    accuracy, sheet, layers = documents.accuracy, documents.sheet, documents.layers
    changed = sheet.changed()
    return {
        "accuracy": accuracy,
        "metric": accuracy.metric,
        "words": accuracy.words,
        "verdicts": {pair.second: pair for pair in accuracy.pairs if pair.first == sheet.reference},
        "pairs": accuracy.pairs,
        "lost": [row for row in accuracy.runners if accuracy.drop(row) > accuracy.max_drop],
        "scores_plot": draw_scores(accuracy),
        "changed": len(changed),
        "examples": [_example(example, sheet, accuracy.task) for example in changed[:_EXAMPLES]],
        "layers": layers,
        "worst": layers.worst(_WORST) if layers else [],
        "noise_plot": draw_noise(layers) if layers else "",
        "ranges_plot": draw_ranges(layers, accuracy.words.examples) if layers else "",
        "tuning": documents.tuning,
        "pareto_plot": draw_trials(documents.tuning, accuracy.metric.label) if documents.tuning else "",
        "costs_plot": draw_costs(documents.tuning, accuracy.words.predictions)
        if documents.tuning and documents.tuning.costs
        else "",
        "outside": _outside(layers) if layers else [],
        "made": [
            {
                "file": name,
                "step": made.step,
                "created": made.created,
                "seconds": made.seconds,
                "hashes": {record.path.rsplit("/", 1)[-1]: record.sha256[:_HASH] for record in made.outputs.values()},
            }
            for name, made in documents.made.items()
        ],
        "versions": max(documents.made.values(), key=lambda made: made.created).versions
        if documents.made
        else accuracy.runtime,
        "command": _command(accuracy),
    }


def _example(example: ExampleRecord[Any], sheet: Sheet[Any], task: str) -> dict[str, Any]:
    """An example whose prediction changed, as the float model and the last differing runner see it."""
    predictions = {runner: example.predictions[runner] for runner in sheet.runners if runner in example.predictions}
    known = predictions[sheet.reference]
    other = [runner for runner, prediction in predictions.items() if prediction.text != known.text][-1]
    return {
        "asked": example,
        "other": other,
        "pieces": find_task(task).explain(sheet, example, known, predictions[other]),
        "predictions": predictions,
    }


def _outside(layers: Layers) -> list[Any]:
    found = [row for row in layers.layers if row.outside > 0]
    return sorted(found, key=lambda row: -row.outside)


def _command(accuracy: Accuracy) -> str:
    """What makes the same figures again."""
    said = {
        "MODEL": accuracy.model,
        "PRECISION": accuracy.precision,
        "SOC": accuracy.soc,
        "SEQ": str(accuracy.sequence_length),
        "WINDOWS": str(accuracy.calibration.get("windows", "")),
        "METHOD": str(accuracy.calibration.get("method", "")),
        "CALIBRATION": "" if accuracy.calibration.get("data") == "shipped" else str(accuracy.calibration.get("data")),
        "DATA": "" if accuracy.dataset == "shipped" else accuracy.dataset,
        "RANDOM": "1" if accuracy.random_weights else "",
        accuracy.words.examples.upper(): str(accuracy.examples)
        if len({row.examples for row in accuracy.runners}) == 1
        else "",
    }
    return " ".join(
        ["make accuracy report", *(f"{name}={shlex.quote(value)}" for name, value in said.items() if value)]
    )
