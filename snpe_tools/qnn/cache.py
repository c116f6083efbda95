"""Which compiled context of a prepared DLC is a SoC's: its `htp.cache.<soc>.<n>` record.

The emulator executes such a record as the device would, with the same bits as a graph compiled on the spot for that
SoC. It does not check for which SoC a record was compiled; `snpe_tools.qnn.graph` does.
"""

from __future__ import annotations

import snpe_tools.dlc as dlc_format


def find_cache(dlc: dlc_format.Dlc, soc_name: str) -> str:
    """The name of the record that was compiled for a SoC; "" when there is none."""
    return next((cache.record.name for cache in dlc.caches if cache.soc == soc_name), "")
