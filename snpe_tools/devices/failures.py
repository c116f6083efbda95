"""Why a run on a device failed, in words: its exit status, and what the runtime and the system said.

Source: Qualcomm's public documentation, and public reports of each text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from snpe_tools.board.main import START
from snpe_tools.core.errors import DeviceError
from snpe_tools.core.process import Finished
from snpe_tools.toolchains.sdk.errors import explain

_SHOWN = 8
_SEARCHED = 50
"""Lines at the end of what a command printed in which its cause is looked for: earlier ones are of what went well."""
_KILLED, _CRASHED, _ABORTED = 137, 139, 134
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127


@dataclass(frozen=True)
class Cause:
    """What a failure means, and what to do."""

    cause: str
    fix: str


@dataclass(frozen=True)
class _Entry:
    pattern: str
    cause: str
    fix: str
    status: int = 0
    """Counts with this exit status only; 0 with any."""


_ENTRIES = (
    _Entry(
        r"Exec format error|cannot execute binary file|cannot execute: required file|not executable: \d+-bit ELF|"
        r"wrong ELF class|is for EM_\w+ \(\d+\) instead of|syntax error",
        "the program or a library is for another processor than the device's",
        "Push the one for it: the SDK's folder must fit `uname -m` of the device; snpe-tools doctor --device.",
    ),
    _Entry(
        r"libcdsprpc\.so\b.*(?:not found|[Cc]annot|not accessible|No such file)|"
        r"(?:not found|[Cc]annot|[Uu]nable to load).*\blibcdsprpc\.so",
        "the device has no libcdsprpc.so, through which the CPU talks to the DSP, or does not let us load it",
        "Install the board's FastRPC package; on Android, the vendor must list the library as public.",
    ),
    _Entry(
        r"GLIBC(XX)?_[\d.]+' not found",
        "the device's C library is older than the runtime needs",
        "Update the board: the pip libraries need glibc 2.34; or name an SDK made for its system.",
    ),
    _Entry(
        r"cannot open shared object file|error while loading shared libraries|CANNOT LINK EXECUTABLE|"
        r"library \"[^\"]+\" not found|cannot be loaded:",
        "a library is missing on the device; the line names it",
        "Install it there, or name an SDK that has it.",
    ),
    _Entry(
        r"Failed to load skel|Transport layer setup failed|default platform info: 14001|platform config: 14001|"
        r"error(_code)?\s*[=:]?\s*(4000|14001)\b",
        "the DSP did not load its half of the runtime: the skel is missing on ADSP_LIBRARY_PATH, is for another "
        "Hexagon version, or the device refuses unsigned modules",
        "Check the SoC (--soc) and that /dev/fastrpc-cdsp may be opened; docs/devices.md, unsigned PD.",
    ),
    _Entry(
        r"fastrpc.*[Pp]ermission denied|[Pp]ermission denied.*fastrpc|adsprpc.*[Pp]ermission denied",
        "this user may not open the DSP's device file",
        "Add the user to its group, or run as root: docs/devices.md, permissions.",
    ),
    _Entry(
        r"compiled for SoC \d+|No cache record matches|Cannot perform accelerated init|"
        r"Failed to initialize.*cache|error_code=1002\b.*[Cc]ache",
        "the DLC's cache was compiled for another SoC or by another SDK",
        "Prepare it for this one: snpe-tools prepare --soc.",
    ),
    _Entry(
        r"No module named|requires a different Python|SyntaxError|unsupported operand type\(s\) for \|",
        "the board's python3 is too old or incomplete",
        "Install Python 3.10 or later there; nothing else is needed.",
    ),
    _Entry(
        r"[Pp]ermission denied",
        "the system there refuses to execute it: its folder is mounted noexec, or forbidden",
        "Choose another folder: --device-root; or remount it: mount -o remount,exec.",
        _NOT_EXECUTABLE,
    ),
    _Entry(
        r"python3.*(not found|inaccessible)|No such file.*python3",
        "the board has no python3",
        "Install Python 3.10 or later there, or name an SDK: SNPE_ROOT.",
        _NOT_FOUND,
    ),
    _Entry(
        r"not found|No such file|inaccessible",
        "the program, or the loader it was linked for, is not on the device",
        "Is it the SDK's folder for this system (Android, or the right Linux)? snpe-tools doctor --device.",
        _NOT_FOUND,
    ),
)
_STATUSES = {
    _KILLED: Cause(
        "something killed it: most often the system, since memory was short",
        "Close other programs there; start from a compiled cache (snpe-tools prepare), which needs less.",
    ),
    _CRASHED: Cause("the runtime crashed", "Is the DLC of the same SDK generation as the runtime? Prepare it again."),
    _ABORTED: Cause("the runtime gave up (abort)", "Its last lines may say why; prepare the DLC again."),
    _NOT_EXECUTABLE: Cause(
        "the program cannot be executed there", "It is for another processor, or its folder is mounted noexec."
    ),
    _NOT_FOUND: Cause("the program, or its loader, is not on the device", "Is it the SDK's folder for this system?"),
}
_SIGNALS = {_KILLED, _CRASHED, _ABORTED}


def find_cause(status: int, output: str) -> Cause | None:
    """The known cause of a failed command, None when there is none. A signal says more than any text before it."""
    if status in _SIGNALS:
        return _STATUSES[status]
    lines = [line for line in output.split("\n") if not line.startswith(START)][-_SEARCHED:]
    for entry in _ENTRIES:
        if entry.status in {0, status} and any(re.search(entry.pattern, line) for line in lines):
            return Cause(entry.cause, entry.fix)
    for known in explain("\n".join(lines)):
        return Cause(known.cause, known.fix)
    return _STATUSES.get(status)


def failed(address: str, program: str, finished: Finished, log: str) -> DeviceError:
    """The error for a run that ended badly: how, why as far as is known, its last lines, and where the log is."""
    found = find_cause(finished.status, finished.output)
    why = f": {found.cause}" if found else ""
    return DeviceError(
        f"{program} ended with {finished.ending}{why}.{finished.tail(_SHOWN)}\n    The whole log: {log}",
        found.fix if found else "The log has the runtime's own words.",
        address=address,
    )
