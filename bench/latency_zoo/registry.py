"""Which network stands for which published rows, and of which family it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Built = tuple[torch.nn.Module, tuple[torch.Tensor, ...]]
NETWORKS: dict[str, Network] = {}


@dataclass(frozen=True)
class Network:
    """A network of the zoo: its published name ("model/component"), its family, what builds it.

    Attributes:
        also: further names under which the same graph was measured.
    """

    name: str
    family: str
    build: Callable[[], Built]
    also: tuple[str, ...] = ()


def network(name: str, family: str) -> Callable[[Callable[[], Built]], Callable[[], Built]]:
    """Enter a builder under its published name."""

    def enter(build: Callable[[], Built]) -> Callable[[], Built]:
        add(name, family, build)
        return build

    return enter


def add(name: str, family: str, build: Callable[[], Built], *also: str) -> None:
    """Enter a builder under its published names."""
    assert name not in NETWORKS, name
    NETWORKS[name] = Network(name, family, build, also)


def image(height: int, width: int = 0, channels: int = 3) -> torch.Tensor:
    """A picture, (1, channels, height, width)."""
    return torch.rand(1, channels, height, width or height)


def tokens(length: int) -> torch.Tensor:
    """Token ids, (1, length), int32."""
    return torch.ones(1, length, dtype=torch.int32)


class Calling(torch.nn.Module):
    """Positional inputs in, one or several tensors out, whatever the network's own convention is."""

    def __init__(self, inner: torch.nn.Module, call: Callable[..., object]) -> None:
        super().__init__()
        self.inner, self.call = inner, call

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.call(self.inner, *inputs)
