"""What a killed run needs to go on with the same result: weights, optimizer, random numbers, and where it was."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel

from snpe_tools.core.errors import InputError, UsageError
from snpe_tools.core.files import sha256, whole_file
from snpe_tools.project.provenance import versions

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

_NOT_DECISIVE: dict[str, Any] = {"save_minutes": True, "transfer": {"save_minutes"}, "answers": {"save_minutes"}}


def identity(settings: BaseModel, *sources: Path | str, choices: str = "") -> str:
    """What must be equal for a run to go on: all that decides the result. Of files and folders, their content.

    Args:
        choices: whatever else decides, in words.
    """
    decisive = settings.model_dump(mode="json", exclude=_NOT_DECISIVE)
    contents = [sha256(Path(source)) if Path(source).exists() else str(source) for source in sources]
    text = json.dumps(
        [decisive, contents, choices, versions("train")["torch"], versions("train")["transformers"]], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class History:
    """Training so far: the loss of every step done, and the seconds and tokens they took."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    tokens: int = 0

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    @property
    def tokens_per_second(self) -> float:
        """Padding included."""
        return round(self.tokens / max(self.seconds, 1e-9), 1)


class StateFile:
    """The state of a run on disk; whole or not there.

    Args:
        path: where it is kept while the run lasts.
        identity: of the run; a state of another one is refused.
        save_minutes: how often `keep` writes.
    """

    def __init__(self, path: Path, identity: str, save_minutes: float) -> None:
        self.path, self._identity, self._pause = path, identity, 60 * save_minutes
        self._saved = time.monotonic()

    @classmethod
    def beside(cls, output: Path, lesson: str, identity: str, save_minutes: float) -> Self:
        """The state of one lesson of the run that writes `output`."""
        return cls(output.with_name(f"{output.name}.{lesson}-state"), identity, save_minutes)

    def restore(self, model: nn.Module, optimizer: Optimizer) -> History:
        """Put model, optimizer and random numbers where the last run left them; a new history without one.

        Raises:
            UsageError: the state belongs to other settings or data.
            InputError: it is damaged.
        """
        import torch

        if not self.path.is_file():
            return History()
        state = self._load()
        if state["identity"] != self._identity:
            raise UsageError(
                f"{self.path} is the state of a run with other settings or data.",
                "Go on with those, start again with --restart, or choose another --output.",
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available() and state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        return History(**state["history"])

    def _load(self) -> dict[str, Any]:
        import torch

        try:
            state: dict[str, Any] = torch.load(self.path, weights_only=True, map_location="cpu")
        except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as problem:
            raise InputError(
                f"{self.path}, the state of an earlier run, is damaged.", "Start again with --restart."
            ) from problem
        return state

    def forget_others(self) -> None:
        """Remove the state of a run with other settings or data, and a damaged one."""
        try:
            if self.path.is_file() and self._load()["identity"] != self._identity:
                self.remove()
        except InputError:
            self.remove()

    def keep(self, model: nn.Module, optimizer: Optimizer, history: History) -> None:
        """Write the state, if the last one is old enough.

        Raises:
            StorageError: no space.
        """
        if time.monotonic() - self._saved >= self._pause:
            self.save(model, optimizer, history)

    def save(self, model: nn.Module, optimizer: Optimizer, history: History) -> None:
        """Write the state now.

        Raises:
            StorageError: no space.
        """
        import torch

        state = {
            "identity": self._identity,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "history": asdict(history),
        }
        with whole_file(self.path) as temporary, temporary.open("wb") as stream:
            torch.save(state, stream)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """The run is done, or starts again."""
        self.path.unlink(missing_ok=True)
