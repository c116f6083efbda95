"""Where the two models of a comparison run: each on the emulator of this machine, or on a device."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snpe_tools.core.errors import UsageError
from snpe_tools.devices import DeviceAddress
from snpe_tools.devices.transports.address import HOST
from snpe_tools.execution.on_device import DeviceOptions


@dataclass(frozen=True)
class Place:
    """A device that runs DLC files."""

    address: DeviceAddress
    options: DeviceOptions


Places = tuple[Place | None, Place | None]
"""Of the first and of the second model; None is the emulator. A model that is no DLC runs on ONNX Runtime, here."""
HERE: Places = (None, None)


def parse_places(text: str, options: DeviceOptions) -> Places:
    """Places of one word for both models, or of two with a comma between them: "host,adb:SERIAL".

    Raises:
        UsageError: one of them is neither "host" nor a device's address, or there are more.
    """
    found = [_parse(part.strip(), options) for part in text.split(",")]
    if len(found) > 2:  # noqa: PLR2004 - a comparison is of two
        raise UsageError(f"{text!r} names {len(found)} places for two models.", "Name one, or one for each model.")
    return found[0], found[-1]


def _parse(text: str, options: DeviceOptions) -> Place | None:
    return None if text == HOST else Place(DeviceAddress.parse(text), options)


def check_places(models: Sequence[Path], places: Places) -> None:
    """Refuse a device that would have nothing to do.

    Raises:
        UsageError: it was named for models that are no DLC.
    """
    idle = [place for model, place in zip(models, places, strict=True) if place and model.suffix != ".dlc"]
    busy = [place for model, place in zip(models, places, strict=True) if place and model.suffix == ".dlc"]
    for place in idle:
        if place not in busy:
            raise UsageError(
                f"{place.address} would run nothing: devices run DLC files, and ONNX models run here.",
                "Name a DLC, or leave --device out.",
            )


@contextmanager
def kept_log() -> Iterator[Path]:
    """A file for a device's log among the temporary ones. When the block fails it stays there, unless it is empty."""
    handle, name = tempfile.mkstemp(prefix="snpe-tools.", suffix=".log")
    os.close(handle)
    log = Path(name)
    try:
        yield log
    except BaseException:
        if not log.stat().st_size:
            log.unlink()
        raise
    log.unlink()
