"""The training loop: AdamW, a linear schedule, clipped gradients."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snpe_tools.core.errors import ExecutionError, RecipeError
from snpe_tools.core.progress import progress, say
from snpe_tools.training.batches import Batches
from snpe_tools.training.hardware import autocast
from snpe_tools.training.settings import LoopSettings
from snpe_tools.training.state import History, StateFile

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

_RECENT = 50

Loss = Callable[[int, NDArray[np.intp]], tuple["Tensor", int]]
"""The loss of a batch, given its step and its rows, and the tokens it took."""


def fit(model: nn.Module, steps: Batches, loss: Loss, settings: LoopSettings, state: StateFile) -> History:
    """Train `model` in place, from where `state` left it; at the end `state` holds the finished run.

    Args:
        model: a PyTorch module, on the device it is trained on.
        steps: rows of every batch, in order.
        loss: what to minimize.
        settings: learning rate, weight decay, clipping, precision.
        state: kept every few minutes.

    Raises:
        ExecutionError: the loss is not a number any more.
        RecipeError: `freeze` names no parameter.
        StorageError: no space for the state.
    """
    freeze(model, settings)
    optimizer = make_optimizer(model, settings)
    history = state.restore(model, optimizer)
    if history.step:
        say(f"  going on from step {history.step} of {len(steps)}")
    model.train()
    with _stop_told(history, state), progress("training", len(steps) - history.step) as advance:
        while history.step < len(steps):
            started = time.perf_counter()
            _set_learning_rate(optimizer, settings.learning_rate_at(history.step, len(steps)))
            value, tokens = _step(
                model, optimizer, functools.partial(loss, history.step, steps[history.step]), settings
            )
            _check(value, history)
            history.losses.append(value)
            history.tokens += tokens
            history.seconds += time.perf_counter() - started
            state.keep(model, optimizer, history)
            advance(1, f"loss {np.mean(history.losses[-_RECENT:]):.3f}")
    state.save(model, optimizer, history)
    return history


def _step(
    model: nn.Module, optimizer: Optimizer, loss: Callable[[], tuple[Tensor, int]], settings: LoopSettings
) -> tuple[float, int]:
    import torch

    with autocast(model, settings):
        value, tokens = loss()
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(value.detach()), tokens


def _check(value: float, history: History) -> None:
    if not np.isfinite(value):
        raise ExecutionError(
            f"The loss of step {history.step} is {value}: training fell apart.",
            "Lower the learning rate, or lengthen the warm-up.",
        )


def _set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


@contextlib.contextmanager
def _stop_told(history: History, state: StateFile) -> Iterator[None]:
    """Whatever ends the run early, say what is kept of it."""
    try:
        yield
    except BaseException:
        if state.path.is_file():
            say(f"Stopped in step {history.step}. The same command goes on from the state in {state.path}.")
        raise


def freeze(model: nn.Module, settings: LoopSettings) -> None:
    """Keep parameters whose name contains one of `settings.freeze` as they are.

    Raises:
        RecipeError: one of them names no parameter.
    """
    names = [name for name, _ in model.named_parameters()]
    for part in settings.freeze:
        if not any(part in name for name in names):
            raise RecipeError(f"freeze: no parameter of the model has {part!r} in its name.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(part in name for part in settings.freeze))


def make_optimizer(model: nn.Module, settings: LoopSettings) -> Optimizer:
    """AdamW; biases and normalization weights do not decay.

    A model may have `learning_rate_scales`: factors for the parameters whose names begin so.
    """
    import torch

    scales: Mapping[str, float] = getattr(model, "learning_rate_scales", {})
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = next((scale for part, scale in scales.items() if name.startswith(part)), 1.0)
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((decay, scale), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": found, "weight_decay": decay, "scale": scale} for (decay, scale), found in groups.items()],
        lr=settings.learning_rate,
    )
