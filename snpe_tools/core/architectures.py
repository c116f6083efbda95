"""Families of transformers that the integration tests carry from a checkpoint to outputs of its DLC."""

from __future__ import annotations

from typing import Literal, get_args

Architecture = Literal["albert", "bert", "distilbert", "electra", "mobilebert"]
ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
