"""Where training runs: a GPU when there is one, else the CPU; bfloat16 where it has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snpe_tools.training.settings import LoopSettings

if TYPE_CHECKING:
    import torch
    from torch import nn


def to_device(model: nn.Module, settings: LoopSettings) -> nn.Module:
    """The model on the device that trains it, compiled if the settings want that."""
    import torch

    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    if settings.compile:
        # Distillation runs the lowest 1, 2, … layers in turn; past 8 variants PyTorch would stop compiling.
        torch._dynamo.config.recompile_limit = 64  # noqa: SLF001 - the documented place of this setting
        model.compile(dynamic=True)
    return model


def kind_of(model: nn.Module) -> str:
    """Where the model is: "cpu" or "cuda"."""
    return str(next(model.parameters()).device.type)


def describe(model: nn.Module, settings: LoopSettings) -> str:
    """What computes, in words: "bfloat16 on Intel Xeon, 2 threads"."""
    return f"{'bfloat16' if uses_bfloat16(kind_of(model), settings) else 'float32'} on {_processor(kind_of(model))}"


def _processor(kind: str) -> str:
    import torch

    if kind == "cuda":
        return str(torch.cuda.get_device_name())
    return f"{torch.cpu.get_capabilities().get('cpu_name', 'CPU')}, {torch.get_num_threads()} threads"


def autocast(model: nn.Module, settings: LoopSettings) -> torch.autocast:
    """A context in which matrix products are computed in bfloat16, where `uses_bfloat16` says so."""
    import torch

    kind = kind_of(model)
    return torch.autocast(kind, torch.bfloat16, enabled=uses_bfloat16(kind, settings))


def uses_bfloat16(kind: str, settings: LoopSettings) -> bool:
    """Whether training computes in bfloat16: as set, and for "auto" where the processor has it in hardware."""
    import torch

    if settings.precision != "auto":
        return settings.precision == "bf16"
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
