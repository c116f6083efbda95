"""One folder for each run on a device: new each time, so that no earlier run's results can be read as this one's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from snpe_tools.core.errors import SnpeToolsError
from snpe_tools.core.progress import say
from snpe_tools.devices.device import Device
from snpe_tools.devices.shell import Script
from snpe_tools.devices.storage.space import free_space, require_space

USES = ".snpe-tools.uses"
"""Names of the bundles that a run needs, one on each line: `collect` leaves them alone."""


@contextmanager
def run_folder(device: Device, *, needed: int = 0, uses: Sequence[str] = ()) -> Iterator[str]:
    """A folder of the device's own for one run: removed after success, kept and named after a failure.

    Args:
        needed: bytes that the run will write.
        uses: names of the bundles it reads.

    Raises:
        StorageError: they do not fit.
        DeviceError: the folder cannot be made.
    """
    runs = f"{device.root}/runs"
    require_space(device, runs, free_space(device, runs), needed)
    folder = f"{runs}/{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(6)}"
    listed = "".join(f"{use}\n" for use in uses).encode()
    device.check(Script.of("mkdir -- {} && cat > {}", folder, f"{folder}/{USES}"), chunks=[listed])
    try:
        yield folder
    except BaseException:
        say(f"{device}: what the run left is in {folder} there.")
        raise
    try:
        device.check(["rm", "-rf", "--", folder])
    except SnpeToolsError as problem:  # the run itself is done, and its results are here
        say(f"{device}: {folder} could not be removed: {problem.message}")
