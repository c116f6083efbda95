"""Fake quantization: what a tensor is after its quantizer in the DLC, with gradients.

Activations: one asymmetric encoding whose range is learned, with the gradients of LSQ (Esser et al., 2020) and LSQ+
(Bhalgat et al., 2020). Weights: a symmetric encoding that follows the weights. Rounding passes gradients straight
through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import Function

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST_SCALE = 1e-8


class _Asymmetric(Function):  # type: ignore[misc]
    """Round `x` to `levels` steps between `low` and `high`, of which one is exactly zero."""

    @staticmethod
    def forward(context: Any, x: Tensor, low: Tensor, high: Tensor, levels: int) -> Tensor:  # noqa: ANN401
        bottom, top = low.clamp(max=0.0), high.clamp(min=0.0)
        scale = ((top - bottom) / levels).clamp(min=_SMALLEST_SCALE)
        zero = torch.round(-bottom / scale)
        context.save_for_backward(x, scale, zero)
        context.levels = levels
        return (torch.round(x / scale + zero).clamp(0, levels) - zero) * scale

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:  # noqa: ANN401
        """Inside the range x learns, and the range from the rounding error; outside, the end that clipped x."""
        (gradient,) = gradients
        x, scale, zero = context.saved_tensors
        place = x / scale + zero
        below, above = place < 0, place > context.levels
        inside = ~(below | above)
        error = (torch.round(place) - place) * inside
        slope = (gradient * error).sum() / context.levels
        share = (x.numel() * context.levels) ** -0.5
        return (
            gradient * inside,
            share * ((gradient * below).sum() - slope),
            share * ((gradient * above).sum() + slope),
            None,
        )


def quantize_activation(x: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """`x` as an unsigned integer of `bits` bits holds it; `low` and `high` are scalars, and learn."""
    return _Asymmetric.apply(x, low, high, 2**bits - 1)


def quantize_weight(weight: Tensor, bits: int, axis: int | None) -> Tensor:
    """`weight` as a signed integer of `bits` bits holds it, a scale for each index of `axis` (None: one scale)."""
    highest = 2 ** (bits - 1) - 1
    fixed = weight.detach()
    if axis is None:
        scale = (fixed.abs().max() / highest).clamp(min=_SMALLEST_SCALE)
        return torch.fake_quantize_per_tensor_affine(weight, float(scale), 0, -highest - 1, highest)
    others = [dimension for dimension in range(weight.ndim) if dimension != axis % weight.ndim]
    scale = (fixed.abs().amax(others) / highest).clamp(min=_SMALLEST_SCALE)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, axis % weight.ndim, -highest - 1, highest)
