"""Layers that several networks of the zoo share."""

from __future__ import annotations

import torch
from torch import nn


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, dilation: int = 1,
    act: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:  # fmt: skip
    """Convolution, batch normalization and an activation, as large as the input divided by the stride."""
    padding = dilation * (kernel - 1) // 2
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False), nn.BatchNorm2d(outputs)
    ]  # fmt: skip
    return nn.Sequential(*layers, *([act()] if act else []))


class Attention(nn.Module):
    """Self-attention of (1, length, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length, width = x.shape[1:]
        q, k, v = (each(x).reshape(1, length, self.heads, -1).transpose(1, 2) for each in (self.q, self.k, self.v))
        scores = (q @ k.transpose(2, 3) * self.scale).softmax(-1)
        return self.o((scores @ v).transpose(1, 2).reshape(1, length, width))
