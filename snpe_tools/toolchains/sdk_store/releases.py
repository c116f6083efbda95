"""Which version of the SDK fits the installed runtime, where it is published, and under which licence.

Addresses and versions: Qualcomm's page "Install Qualcomm AI Runtime SDK" (80-80021-15B) names the address of
2.43.0.260128 as a direct download without prerequisites; the other versions are those that public build scripts fetch
from there.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from snpe_tools.core.errors import UsageError
from snpe_tools.qnn.library import QAIRT_BUILD, RUNTIME_PIN

LICENCE = "the licence of the Qualcomm AI Runtime Community SDK (LICENSE.pdf in the archive)"
LICENCE_ADDRESS = "https://softwarecenter.qualcomm.com/#/catalog/item/Qualcomm_AI_Runtime_Community"
MIRROR_VARIABLE = "SNPE_SDK_URL"
_ADDRESS = (
    "https://softwarecenter.qualcomm.com/api/download/software/sdks/Qualcomm_AI_Runtime_Community"
    "/All/{version}/v{version}.zip"
)
_FITS = {"2.7.0": "2.51.0.260929"}
"""The SDK of the very build that a version of `onnxruntime-qnn` holds."""
_PUBLISHED = (
    "2.51.0.260929", "2.50.0.260828", "2.47.0.260601", "2.46.0.260424", "2.45.40.260406", "2.45.0.260326",
    "2.44.0.260225", "2.43.0.260128", "2.42.0.251225", "2.37.0.250724", "2.35.0.250530",
)  # fmt: skip
_VERSION = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{6}")


@dataclass(frozen=True, order=True)
class Release:
    """A published version, ordered by its numbers."""

    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Release:
        """The release called `text`, such as "2.51.0.260929" or "v2.51.0.260929".

        Raises:
            UsageError: it is not four numbers, the last of them a date.
        """
        plain = text.strip().removeprefix("v")
        if not _VERSION.fullmatch(plain):
            raise UsageError(
                f"{text!r} is not a version of the SDK.", f"Write it in full; known: {', '.join(_PUBLISHED)}."
            )
        return cls(tuple(int(part) for part in plain.split(".")))

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))

    @property
    def reads_caches(self) -> bool:
        """Whether it runs caches that the installed runtime compiled: the same minor version, or a newer one."""
        return self.numbers[:2] >= tuple(int(part) for part in QAIRT_BUILD.split(".")[:2])


def choose(asked: str = "") -> Release:
    """The release that was asked for; without one, the installed runtime's own, else the newest that reads its caches.

    Raises:
        UsageError: `asked` is not a version.
    """
    if asked:
        return Release.parse(asked)
    fitting = _FITS.get(RUNTIME_PIN["onnxruntime-qnn"])
    known = [Release.parse(text) for text in _PUBLISHED]
    return Release.parse(fitting) if fitting else max(release for release in known if release.reads_caches)


def cache_warning(release: Release) -> str:
    """What a release cannot do with the caches that are compiled here; "" when it runs them."""
    if release.reads_caches:
        return ""
    return (
        f"QAIRT {release} is older than QAIRT {QAIRT_BUILD} of the installed onnxruntime-qnn "
        f"{RUNTIME_PIN['onnxruntime-qnn']}. A runtime refuses caches of a newer one: run the DLC without caches, "
        "which compiles on the device at every start, or build it with TOOLCHAIN=sdk."
    )


def others(release: Release) -> str:
    """Other versions to try, for a message."""
    return ", ".join(text for text in _PUBLISHED if Release.parse(text) != release)


def address(release: Release) -> str:
    """Where the archive is: Qualcomm's server, or the mirror that `SNPE_SDK_URL` names.

    The mirror's address has `{version}` in it, or is the folder that holds `v<version>.zip`.

    Raises:
        UsageError: the mirror is not an http or https address.
    """
    mirror = os.environ.get(MIRROR_VARIABLE, "").strip()
    if not mirror:
        return _ADDRESS.format(version=release)
    if urlsplit(mirror).scheme not in {"http", "https"} or not urlsplit(mirror).netloc:
        raise UsageError(
            f"{MIRROR_VARIABLE}={mirror} is not an http or https address.",
            "For a file on this machine use: snpe-tools sdk fetch --archive FILE",
        )
    if "{version}" in mirror:
        return mirror.replace("{version}", str(release))
    return f"{mirror.rstrip('/')}/v{release}.zip"
