"""Which runtime a device gets: the SDK's where one is named, else our own runner on Linux."""

from __future__ import annotations

from pathlib import Path

from snpe_tools.core.choices import one_of
from snpe_tools.core.errors import SetupError, UsageError
from snpe_tools.core.socs import Soc
from snpe_tools.devices.facts import Facts
from snpe_tools.devices.runtimes import Runtime
from snpe_tools.devices.runtimes.board import RUNNER, BoardRunner, pack_runner
from snpe_tools.devices.runtimes.qnn import QnnNetRun
from snpe_tools.devices.runtimes.sdk import DeviceSdk, find_device_sdk
from snpe_tools.devices.runtimes.snpe import SnpeNetRun
from snpe_tools.devices.runtimes.wheel import arm_libraries, x86_libraries

X86 = "x86_64"
NAMES = ("snpe", "qnn", "board")
_ANDROID = "Set SNPE_ROOT to an SDK: only it has the libraries for Android (docs/devices.md)."


def choose_runtime(facts: Facts, soc: Soc, scratch: Path, name: str = "") -> Runtime:
    """The runtime for a device.

    Args:
        soc: the device's, or on x86-64 the one to emulate.
        scratch: where our own runner is packed.
        name: "snpe", "qnn" or "board"; "" takes the first that there is.

    Raises:
        UsageError: an unknown name, or one that such a device cannot have.
        SetupError: nothing on this machine runs on such a device.
    """
    from snpe_tools.toolchains.sdk.environment import root_variable

    if name:
        one_of(NAMES, name, "runtime")
    linux = facts.system == "linux"
    if name == "board" and not linux:
        raise UsageError("The board runner is for Linux.", _ANDROID)
    if name == "board" or (not name and linux and (facts.machine == X86 or not root_variable())):
        return _board(facts, soc, scratch)
    if not name and not root_variable():
        raise SetupError("No SDK is named, and nothing else runs a DLC on Android.", _ANDROID)
    sdk = find_device_sdk(android=not linux, machine=facts.machine, system=facts.release)
    return _of_sdk(sdk, soc, name)


def _of_sdk(sdk: DeviceSdk, soc: Soc, name: str) -> Runtime:
    if name == "qnn" or (not name and not sdk.has(SnpeNetRun.program) and sdk.has(QnnNetRun.program)):
        return QnnNetRun(sdk, soc.arch)
    return SnpeNetRun(sdk, soc.arch)


def _board(facts: Facts, soc: Soc, scratch: Path) -> Runtime:
    runner = pack_runner(scratch / RUNNER)
    if facts.machine == X86:
        return BoardRunner(x86_libraries(), runner, emulated=True)
    if facts.machine != "aarch64":
        raise SetupError(f"There are no libraries for Linux on {facts.machine}.", "They exist for aarch64 and x86_64.")
    return BoardRunner(arm_libraries(soc.arch), runner)


def choose_soc(facts: Facts, asked: Soc | None, *, fallback: Soc) -> Soc:
    """The SoC that a DLC is to run on.

    Args:
        asked: by the user; None where nobody said.
        fallback: what x86-64 emulates when nobody said.

    Raises:
        UsageError: another one than the device has, or none is known.
    """
    if facts.soc:
        if asked and asked != facts.soc:
            raise UsageError(f"The device has a {facts.soc}, and --soc says {asked}.", "Leave --soc out.")
        return facts.soc
    if facts.machine == X86:
        return asked or fallback
    if asked:
        return asked
    said = f"calls its SoC {facts.soc_name!r}, which is not a known one" if facts.soc_name else "does not say its SoC"
    raise UsageError(
        f"The device {said}.",
        "Find its Hexagon version (the product page, or libQnnHtpV*Skel.so in /vendor/lib/rfsa/adsp), look for a SoC "
        "of the same version in `snpe-tools socs`, and name it: --soc sm8550 (SOC=sm8550).",
    )
