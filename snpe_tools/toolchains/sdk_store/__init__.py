"""SDKs that this project fetched: which version fits, the parts a target needs, and where they are kept."""

from __future__ import annotations

from snpe_tools.toolchains.sdk_store.fetching import fetch
from snpe_tools.toolchains.sdk_store.store import Installed, find, installed, remove

__all__ = ["Installed", "fetch", "find", "installed", "remove"]
