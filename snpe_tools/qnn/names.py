"""The library's names of a graph's inputs and outputs, and the file's: it writes `a/b:0` as `a_b_0`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from snpe_tools.core.tensor_spec import TensorSpec

_COUNTED = re.compile(r"_\d+$")
"""What the library appends to the second of two names that become one."""


def library_name(name: str) -> str:
    """What the library makes of a name: letters, digits and underscores, not beginning with a digit; byte by byte."""
    safe = re.sub(rb"[^A-Za-z0-9_]", b"_", name.encode()).decode()
    return f"_{safe}" if safe[:1].isdigit() else safe


def restore_names(specs: Sequence[TensorSpec], names: Sequence[str]) -> list[TensorSpec]:
    """The library's tensors under the file's names; where two become one, it counts them, in the file's order.

    Args:
        specs: as the library describes them.
        names: of the file.
    """
    waiting: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        waiting[library_name(name)].append(name)
    found = []
    for spec in specs:
        key = spec.name if waiting[spec.name] else _COUNTED.sub("", spec.name)
        found.append(replace(spec, name=waiting[key].pop(0)) if waiting[key] else spec)
    return found
