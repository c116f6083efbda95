"""Which NPU generations the emulator tells apart.

Measured with QAIRT 2.51 on 24 SoCs of v68 to v81: models of five families give three sets of bits when
quantized (v68 = v69, v73 = v75 = v79, v81) and two in fp16 (v69, and v73 to v81). SoCs of one architecture never
differed. An integration test repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence

from snpe_tools.core.socs import Soc

_QUANTIZED = {68: 68, 69: 68, 73: 73, 75: 73, 79: 73, 81: 81}
_FLOAT = {68: 68, 69: 68, 73: 73, 75: 73, 79: 73, 81: 73}


def generation(soc: Soc, *, quantized: bool) -> int:
    """The oldest architecture that the emulator computes exactly as this SoC's; its own when it was not measured."""
    return (_QUANTIZED if quantized else _FLOAT).get(soc.arch, soc.arch)


def distinct(socs: Sequence[Soc], *, quantized: bool) -> dict[Soc, tuple[Soc, ...]]:
    """The first SoC of each emulated generation, with the others that it stands for."""
    groups: dict[int, list[Soc]] = {}
    for soc in socs:
        groups.setdefault(generation(soc, quantized=quantized), []).append(soc)
    return {group[0]: tuple(group[1:]) for group in groups.values()}
