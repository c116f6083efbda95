"""What an examination of a machine or a device found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from snpe_tools.core.errors import SetupError

State = Literal["ok", "optional", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, its state, what was found, and what to do when that is not ok."""

    name: str
    state: State
    found: str
    advice: str = ""


def require_healthy(findings: list[Finding]) -> None:
    """Raise when something needed is missing.

    Raises:
        SetupError: names what is missing.
    """
    missing = [finding.name for finding in findings if finding.state == "missing"]
    if missing:
        raise SetupError(f"Missing: {', '.join(missing)}.", "Each line above says what to do.")
