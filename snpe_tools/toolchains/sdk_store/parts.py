"""Which files of an SDK each target needs. Patterns count from the SDK's own folder.

Sources: Qualcomm's public layout of the SDK, and the names that `devices.runtimes` puts on a device.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from snpe_tools.core.errors import UsageError
from snpe_tools.core.validation import one_of

ANDROID, LINUX, CONVERTERS, ALL = "android", "linux", "converters", "all"
_RUNTIME = (
    r"lib(?:SNPE|SnpeHtpPrepare|PlatformValidatorShared|c\+\+_shared|QnnHtp|QnnSystem|QnnModelDlc|QnnHtpPrepare"
    r"|QnnHtpNetRunExtensions|(?:Snpe|Qnn)HtpV\d{2,3}Stub)\.so"
)
_PROGRAMS = "(?:snpe|qnn)-(?:net-run|platform-validator)"
_SKELS = r"lib/hexagon-v\d{2,3}/unsigned/lib(?:Snpe|Qnn)HtpV\d{2,3}Skel\.so"
_VIEWERS = "bin/x86_64-linux-clang/(?:snpe-diagview|qnn-profile-viewer)"
_DESCRIBING = r"[^/]+\.(?:yaml|yml|pdf|txt|md|json)|(?:LICENSE|NOTICE)[^/]*"
"""The version, the licence and the notices, at the top."""


def _device(system: str) -> tuple[str, ...]:
    return (f"bin/{system}/{_PROGRAMS}", f"lib/{system}/{_RUNTIME}", _SKELS, _VIEWERS)


_PATTERNS = {
    ANDROID: _device("aarch64-android"),
    LINUX: _device("aarch64-(?:ubuntu|oe-linux)-[^/]+"),
    CONVERTERS: (
        "bin/x86_64-linux-clang/.+",
        "lib/(?:x86_64-linux-clang|python)/.+",
        r"bin/[^/]+\.sh|bin/check-[^/]+",
    ),
    ALL: (".+",),
}
_COMPILED = {
    name: re.compile("|".join(f"(?:{one})" for one in (_DESCRIBING, *patterns))) for name, patterns in _PATTERNS.items()
}
_ESSENTIAL = {
    ANDROID: re.compile(f"bin/aarch64-android/(?:snpe|qnn)-net-run|lib/aarch64-android/{_RUNTIME}"),
    LINUX: re.compile("bin/aarch64-(?:ubuntu|oe-linux)-[^/]+/(?:snpe|qnn)-net-run"),
    CONVERTERS: re.compile("bin/x86_64-linux-clang/(?:snpe-onnx-to-dlc|qairt-converter)"),
    ALL: re.compile("bin/.+"),
}
"""Without any of these an archive has nothing for the target."""
_ARCH = re.compile(r"/lib(?:Snpe|Qnn)HtpV(\d{2,3})(?:Stub|Skel)\.so")


def parse(text: str) -> tuple[str, ...]:
    """Targets of a comma-separated list such as "android,converters".

    Raises:
        UsageError: an unknown name, or none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("No target was named.", f"--for {', '.join(_PATTERNS)}.")
    return tuple(dict.fromkeys(one_of(_PATTERNS, name, "target") for name in names))


def covered(wanted: Iterable[str], there: Collection[str]) -> bool:
    """Whether an installation of the targets `there` has those that are wanted."""
    return ALL in there or set(wanted) <= set(there)


def select(paths: Iterable[str], targets: Iterable[str], archs: Collection[int] = ()) -> list[str]:
    """Those of an SDK's files that targets need.

    Args:
        archs: Hexagon architectures whose stubs and skels are taken; all of them when empty.
    """
    patterns = [_COMPILED[target] for target in targets]
    whole = ALL in targets
    return [
        path
        for path in paths
        if any(pattern.fullmatch(path) for pattern in patterns) and (whole or _of_arch(path, archs))
    ]


def _of_arch(path: str, archs: Collection[int]) -> bool:
    found = _ARCH.search(path)
    return not archs or not found or int(found[1]) in archs


def lacking(paths: Iterable[str], targets: Iterable[str]) -> list[str]:
    """The targets for which there is nothing essential among the files."""
    there = list(paths)
    return [target for target in targets if not any(_ESSENTIAL[target].fullmatch(path) for path in there)]
