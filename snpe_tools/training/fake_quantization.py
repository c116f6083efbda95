"""Fake quantization: what a tensor is after its quantizer in the DLC, with gradients.

Activations: one asymmetric encoding whose range is learned, with the gradients of LSQ (Esser et al., 2020) and LSQ+
(Bhalgat et al., 2020). Weights: a symmetric encoding that follows the weights. Rounding passes gradients straight
through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST_SCALE = 1e-8


def quantize_activation(x: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """`x` as an unsigned integer of `bits` bits holds it; `low` and `high` are scalars, and learn.

    Zero is one of the steps. Inside the range `x` learns, and the range from the rounding error; outside, the end that
    clipped `x`.
    """
    levels = 2**bits - 1
    bottom, top = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = ((top - bottom) / levels).clamp(min=_SMALLEST_SCALE)
    share = (x.numel() * levels) ** -0.5
    # PyTorch's kernel for learned quantizers is far faster than the same in tensor operations: see bench/qat.py.
    return torch._fake_quantize_learnable_per_tensor_affine(  # noqa: SLF001
        x, scale.reshape(1), (-bottom / scale).reshape(1), 0, levels, share
    )


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
