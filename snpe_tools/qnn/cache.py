"""Starts from a compiled context: a prepared DLC's `htp.cache.<soc>.<n>` record instead of composing and compiling.

The emulator executes such a record as the device would, with the same bits as a graph compiled on the spot for that
SoC. It does not check for which SoC a record was compiled, so that is done here.
"""

from __future__ import annotations

import ctypes as c

import numpy as np

import snpe_tools.dlc as dlc_format
from snpe_tools.errors import QnnError
from snpe_tools.qnn import abi
from snpe_tools.qnn.handles import Handles


def find_cache(dlc: dlc_format.Dlc, soc_name: str) -> str:
    """The name of the record that was compiled for a SoC; "" when there is none."""
    return next((cache.record.name for cache in dlc.caches if cache.soc == soc_name), "")


def open_cache(handles: Handles, record: memoryview) -> tuple[c.c_void_p, list[abi.GraphInfo]]:
    """A context from a compiled record, and its graphs.

    Args:
        record: the bytes; they must stay valid as long as the handles.

    Raises:
        QnnError: the library refuses the record, or it was compiled for another SoC.
    """
    data = np.frombuffer(record, np.uint8)
    handles.keep(record, data)
    address, size = c.c_void_p(data.ctypes.data), c.c_uint64(data.nbytes)
    graphs = _graphs(handles, address, size)
    context = c.c_void_p()
    arguments = (handles.backend, handles.device, None, address, size, c.byref(context), None)
    handles.checked("load cache", lambda: handles.core("contextCreateFromBinary", *arguments))
    handles.stack.callback(handles.core, "contextFree", context, None)
    return context, graphs


def _graphs(handles: Handles, address: c.c_void_p, size: c.c_uint64) -> list[abi.GraphInfo]:
    reader, found = c.c_void_p(), c.POINTER(abi.BinaryInfo)()
    handles.system("systemContextCreate", c.byref(reader))
    handles.stack.callback(handles.system, "systemContextFree", reader)
    arguments = (reader, address, size, c.byref(found))
    handles.checked("read cache", lambda: handles.system("systemContextGetMetaData", *arguments))
    info = found.contents
    if info.version != abi.BINARY_INFO_VERSION_3:
        raise QnnError(f"{handles.label}: its cache has the unknown description version {info.version}.")
    if info.soc_model != handles.soc.id:
        raise QnnError(f"{handles.label}: its cache was compiled for SoC {info.soc_model}, not for {handles.soc}.")
    return [info.graphs[index] for index in range(info.graph_count)]
