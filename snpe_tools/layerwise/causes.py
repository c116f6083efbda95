"""Why an op lost what it lost: the first rule that fits, in words.

Rounding to steps of s adds noise of s²/12 to each number (Widrow and Kollár, "Quantization Noise", 2008). Where that
explains the noise that was measured, the encoding is at fault, and the rules say what stretched it; where it does
not, the noise came in with the op's inputs or its weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from snpe_tools.layerwise.figures import Figures
from snpe_tools.layerwise.layer import Layer

_MASK_BELOW = -30.0
"""Attention scores of trained transformers stay above; exp(-30) is nothing in 16 bits."""
_EXPLAINS = 0.25
_OUTSIDE_PERCENT = 0.01
_VANISHED_PERCENT = 20.0
_OUTLIER_RMS = 30.0
_FEW_STEPS = 16.0
_WIDE_BITS = 16
_SMALLER = 2.0
_FP16_MAX = 65504.0
_JUMP, _GOOD = 31.6, 1e-4
"""An op is at fault where its output is 15 dB worse than its inputs, and below 40 dB."""
_EXPONENTIAL = {"Softmax", "LogSoftmax", "Exp", "Sigmoid", "Tanh", "Pow"}

Known = Mapping[str, tuple[Layer, Figures]]
"""Layer of the second model and figures, by key."""
_Rule = Callable[[Layer, Figures, Known], str]


def likely_cause(layer: Layer, figures: Figures, known: Known) -> str:
    """In words, for people.

    Args:
        layer: of the second model.
        figures: of its output.
        known: of all tensors that were matched.
    """
    rules = _ALWAYS + (_OF_ENCODING if is_rounding(layer, figures) else _OF_INPUTS)
    return next(words for rule in rules if (words := rule(layer, figures, known)))


def is_rounding(layer: Layer, figures: Figures) -> bool:
    """Whether rounding to the encoding's steps explains a good part of the noise."""
    if layer.grid is None or not figures.count:
        return False
    return layer.grid.step**2 / 12 >= _EXPLAINS * figures.noise / figures.count


def _nothing(_: Layer, figures: Figures, __: Known) -> str:
    return "" if figures.noise or any(figures.not_finite) else "no difference"


def _not_finite(_: Layer, figures: Figures, __: Known) -> str:
    first, second = figures.not_finite
    if second <= first:
        return ""
    beyond = max(-figures.low, figures.high) > _FP16_MAX
    return f"{second} NaN or infinite numbers" + (": the values leave fp16 (±65504)" if beyond else "")


def _saturated(layer: Layer, figures: Figures, _: Known) -> str:
    share = figures.share(figures.outside)
    if layer.grid is None or share < _OUTSIDE_PERCENT:
        return ""
    return (
        f"saturated: {share:.2g} % of values lie outside the encoding "
        f"[{layer.grid.low:.3g}, {layer.grid.high:.3g}]; calibration did not see them"
    )


def _masked_scores(layer: Layer, _: Figures, known: Known) -> str:
    """The mask constant's rounding spoils what a Softmax reads."""
    read = [known[name] for name in layer.inputs if name in known] if layer.op == "Softmax" else []
    return next((_mask(of, row, known) for of, row in read if is_rounding(of, row)), "")


def _mask(layer: Layer, figures: Figures, _: Known) -> str:
    if layer.grid is None or not _is_masked(figures):
        return ""
    return (
        f"mask constant: scores reach {figures.low:.4g} where the rest ends at {figures.high:.3g}, "
        f"so a step is {layer.grid.step:.2g}"
    )


def _is_masked(figures: Figures) -> bool:
    return figures.low < _MASK_BELOW and -figures.low > 2 * figures.high


def _softmax_tail(layer: Layer, figures: Figures, _: Known) -> str:
    share = figures.share(figures.vanished)
    if layer.op != "Softmax" or layer.grid is None or share < _VANISHED_PERCENT:
        return ""
    return f"softmax tail: {share:.0f} % of probabilities are below half a step ({layer.grid.step:.2g}) and become 0"


def _outlier(_: Layer, figures: Figures, __: Known) -> str:
    largest = max(-figures.low, figures.high)
    if not figures.rms or largest < _OUTLIER_RMS * figures.rms:
        return ""
    times = largest / figures.rms
    return f"range dominated by an outlier: {largest:.3g} is {times:.0f} times the RMS of {figures.rms:.2g}"


def _few_levels(layer: Layer, figures: Figures, _: Known) -> str:
    if layer.grid is None or figures.rms >= _FEW_STEPS * layer.grid.step:
        return ""
    steps = figures.rms / layer.grid.step
    return f"too few levels: at {layer.grid.bits} bits the RMS of {figures.rms:.2g} spans {steps:.1f} steps"


def _rounding(layer: Layer, _: Figures, __: Known) -> str:
    return f"rounding to {layer.grid.bits} bits, steps of {layer.grid.step:.2g}" if layer.grid else ""


def _weights(layer: Layer, _: Figures, __: Known) -> str:
    bits = layer.weight_bits
    return f"weights at {bits} bits; the encoding of its output is fine" if 0 < bits < _WIDE_BITS else ""


def _hidden(layer: Layer, _: Figures, known: Known) -> str:
    if layer.op != "Softmax" or not any(_is_masked(known[name][1]) for name in layer.inputs if name in known):
        return ""
    return "error of the scores it reads; the mask constant's energy flatters the SQNR before it"


def _smaller(layer: Layer, figures: Figures, known: Known) -> str:
    read = max((known[name][1].rms for name in layer.inputs if name in known), default=0.0)
    if read < _SMALLER * figures.rms:
        return ""
    return f"error of its inputs, beside a signal that is smaller here (RMS {read:.2g} → {figures.rms:.2g})"


def _inside(layer: Layer, figures: Figures, known: Known) -> str:
    """Good inputs and a bad output: the op itself, where no growth of its inputs' error explains that."""
    if not figures.signal or not figures.noise or any(name not in known for name in layer.inputs):
        return ""
    read = [known[name][1] for name in layer.inputs]
    worst = max((one.noise / one.signal for one in read if one.signal), default=0.0)
    rms = max((one.rms for one in read), default=0.0)
    growth = max(1.0, rms / figures.rms, rms if layer.op in _EXPONENTIAL else 0.0)
    ratio = figures.noise / figures.signal
    if ratio < _GOOD or ratio < _JUMP * worst * growth**2:
        return ""
    state = f"are at {-10 * math.log10(worst):.1f} dB" if worst else "are equal"
    return f"arithmetic inside the operation: its inputs {state}"


def _carried(layer: Layer, _: Figures, __: Known) -> str:
    return "error of its inputs" if layer.inputs else "arithmetic inside the operation: it reads the model's inputs"


_ALWAYS: tuple[_Rule, ...] = (_nothing, _not_finite, _saturated, _masked_scores)
_OF_ENCODING: tuple[_Rule, ...] = (_mask, _softmax_tail, _outlier, _few_levels, _rounding)
_OF_INPUTS: tuple[_Rule, ...] = (_weights, _hidden, _inside, _smaller, _carried)
