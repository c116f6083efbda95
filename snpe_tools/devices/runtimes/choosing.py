"""Which runtime a device gets: the SDK's where one is named or was fetched, else our own runner on Linux."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snpe_tools.board.native import program
from snpe_tools.core.errors import SetupError, UsageError
from snpe_tools.core.socs import Soc
from snpe_tools.core.validation import one_of
from snpe_tools.devices.facts import Facts
from snpe_tools.devices.runtimes import Runtime
from snpe_tools.devices.runtimes.board import RUNNER, BoardRunner, pack_runner
from snpe_tools.devices.runtimes.native import NativeRunner, sdk_libraries
from snpe_tools.devices.runtimes.qnn import QnnNetRun
from snpe_tools.devices.runtimes.sdk import DeviceSdk, find_device_sdk, named_sdk
from snpe_tools.devices.runtimes.snpe import SnpeNetRun
from snpe_tools.devices.runtimes.wheel import arm_libraries, x86_libraries

X86, ARM = "x86_64", "aarch64"
NAMES = ("snpe", "qnn", "board", "native")


class MissingRuntimeError(SetupError):
    """Nothing on this machine runs a DLC on the device, and Qualcomm's SDK would.

    Attributes:
        target: what it has to be fetched for: "android" or "linux".
        soc: of the device.
    """

    def __init__(self, target: str, soc: Soc) -> None:
        system = {"android": "Android", "linux": "Linux"}[target]
        super().__init__(
            f"Qualcomm's runtime for {system} and HTP v{soc.arch} is not on this machine.",
            f"Fetch it, without an account: snpe-tools sdk fetch --for {target} --soc {soc}; or add --fetch (FETCH=1); "
            "or set SNPE_ROOT to an SDK (docs/on-your-phone.md).",
        )
        self.target, self.soc = target, soc

    def __reduce__(self) -> tuple[object, ...]:
        return MissingRuntimeError, (self.target, self.soc)


def choose_runtime(facts: Facts, soc: Soc, scratch: Path, name: str = "") -> Runtime:
    """The runtime for a device.

    Args:
        soc: the device's, or on x86-64 the one to emulate.
        scratch: where our own runner is packed.
        name: "snpe", "qnn", "board" or "native"; "" takes the first that there is.

    Raises:
        UsageError: an unknown name, or one that such a device cannot have.
        SetupError: nothing on this machine runs on such a device.
    """
    from snpe_tools.toolchains.sdk.environment import root_variable

    if name:
        one_of(NAMES, name, "runtime")
    linux = facts.system == "linux"
    own = linux and (facts.machine == X86 or not root_variable())
    if name == "board" and not linux:
        raise UsageError("The board runner is for Linux.", "On Android: --runtime native, snpe or qnn.")
    if name == "board" or (not name and own and "python3" in facts.tools):
        return _board(facts, soc, scratch)
    if name == "native" or (not name and own):
        return _native(facts, soc)
    sdk = _sdk(facts, soc)
    return _of_sdk(sdk, soc, name)


def _sdk(facts: Facts, soc: Soc) -> DeviceSdk:
    android = facts.system == "android"
    root = named_sdk(android=android, arch=soc.arch)
    if root is None:
        raise MissingRuntimeError("android" if android else "linux", soc)
    return find_device_sdk(root, android=android, machine=facts.machine, system=facts.release)


def _of_sdk(sdk: DeviceSdk, soc: Soc, name: str) -> Runtime:
    if name == "qnn" or (not name and not sdk.has(SnpeNetRun.program) and sdk.has(QnnNetRun.program)):
        return QnnNetRun(sdk, soc.arch)
    return SnpeNetRun(sdk, soc.arch)


def _board(facts: Facts, soc: Soc, scratch: Path) -> Runtime:
    return BoardRunner(_linux_libraries(facts, soc), pack_runner(scratch / RUNNER), emulated=facts.machine == X86)


def _native(facts: Facts, soc: Soc) -> Runtime:
    if facts.system == "android":
        if facts.machine != ARM:
            raise SetupError(f"There is no native runner for Android on {facts.machine}.", f"It exists for {ARM}.")
        sdk = _sdk(facts, soc)
        return NativeRunner(sdk_libraries(sdk, soc.arch), program("aarch64-android"), sdk=sdk.label, android=True)
    files = _linux_libraries(facts, soc)
    return NativeRunner(files, program(f"{facts.machine}-linux"), emulated=facts.machine == X86)


def _linux_libraries(facts: Facts, soc: Soc) -> Mapping[str, Path]:
    if facts.machine == X86:
        return x86_libraries()
    if facts.machine != ARM:
        raise SetupError(f"There are no libraries for Linux on {facts.machine}.", "They exist for aarch64 and x86_64.")
    return arm_libraries(soc.arch)


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
