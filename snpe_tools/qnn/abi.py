"""The C layouts of the QNN API that the binding needs, x86-64 and AArch64 (both LP64).

Source: the public QNN API reference (QnnTypes, QnnInterface, QnnSystemInterface, QnnSystemDlc); sizes and
positions were checked against core API 2.40. `COMPOSE_POINTERS` is keyed on the API version because
`composeGraphs` takes the interface *by value*: with a wrong size the process would crash.
"""

from __future__ import annotations

import ctypes as c

COMPOSE_POINTERS = {(2, 40): 75}
"""Function pointers in `QnnInterface_t`, by (major, minor) of the core API."""

CORE = {
    "backendCreate": 1,
    "backendGetBuildId": 4,
    "backendFree": 8,
    "contextCreate": 9,
    "contextCreateFromBinary": 13,
    "contextFree": 14,
    "graphFinalize": 19,
    "graphRetrieve": 20,
    "graphExecute": 21,
    "logCreate": 25,
    "logFree": 27,
    "profileCreate": 28,
    "profileGetEvents": 30,
    "profileGetSubEvents": 31,
    "profileGetEventData": 32,
    "profileFree": 34,
    "deviceGetInfrastructure": 39,
    "deviceCreate": 40,
    "deviceFree": 43,
    "errorGetMessage": 48,
    "contextAddToDlc": 71,
}
"""Index of each core function used, from the first function pointer."""

SYSTEM = {
    "systemContextCreate": 0,
    "systemContextGetMetaData": 2,
    "systemContextFree": 3,
    "dlcCreateFromFile": 8,
    "composeGraphs": 10,
    "dlcFree": 12,
    "dlcSave": 21,
}
"""Index of each system function used."""

GRAPH_INFO_VERSION_3 = 3
BINARY_INFO_VERSION_3 = 3
MEMORY_RAW = 0
ENCODING_DEFINED = 1
ENCODING_UNDEFINED = 0x7FFFFFFF
SCALE_OFFSET, AXIS_SCALE_OFFSET, BW_SCALE_OFFSET = 0, 1, 2
LOG_LEVEL_WARN = 2
PROFILE_BASIC, PROFILE_DETAILED, PROFILE_HTP_LINTING = 1, 2, 7001
PROFILE_UNITS = {1: "us", 2: "bytes", 3: "cycles", 4: "count"}
HTP_ACCELERATOR_CYCLES, HTP_CRITICAL_PATH_CYCLES, PROFILE_NODE = 3003, 6001, 404
HTP_DEVICE_SOC, HTP_GRAPH_PRECISION, PRECISION_FLOAT16 = 0, 2, 1


class Version(c.Structure):
    """`Qnn_Version_t`."""

    _fields_ = (("major", c.c_uint32), ("minor", c.c_uint32), ("patch", c.c_uint32))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class ScaleOffset(c.Structure):
    """`Qnn_ScaleOffset_t`."""

    _fields_ = (("scale", c.c_float), ("offset", c.c_int32))


class AxisScaleOffset(c.Structure):
    """`Qnn_AxisScaleOffset_t`."""

    _fields_ = (("axis", c.c_int32), ("count", c.c_uint32), ("values", c.POINTER(ScaleOffset)))


class BwScaleOffset(c.Structure):
    """`Qnn_BwScaleOffset_t`."""

    _fields_ = (("bitwidth", c.c_uint32), ("scale", c.c_float), ("offset", c.c_int32))


class _EncodingUnion(c.Union):
    _fields_ = (("tensor", ScaleOffset), ("axis", AxisScaleOffset), ("bw", BwScaleOffset), ("_size", c.c_uint8 * 32))


class QuantizeParams(c.Structure):
    """`Qnn_QuantizeParams_t`, 40 bytes."""

    _fields_ = (("definition", c.c_uint32), ("kind", c.c_uint32), ("value", _EncodingUnion))


class ClientBuffer(c.Structure):
    """`Qnn_ClientBuffer_t`."""

    _fields_ = (("data", c.c_void_p), ("size", c.c_uint32))


class Tensor(c.Structure):
    """`Qnn_Tensor_t` of version 2, 144 bytes."""

    _fields_ = (
        ("version", c.c_uint32),
        ("_padding", c.c_uint32),
        ("id", c.c_uint32),
        ("name", c.c_char_p),
        ("type", c.c_uint32),
        ("data_format", c.c_uint32),
        ("data_type", c.c_uint32),
        ("quantize", QuantizeParams),
        ("rank", c.c_uint32),
        ("dimensions", c.POINTER(c.c_uint32)),
        ("memory", c.c_uint32),
        ("buffer", ClientBuffer),
        ("_tail", c.c_uint8 * 24),
    )


class GraphInfo(c.Structure):
    """`QnnSystemContext_GraphInfo_t` of version 3, 88 bytes."""

    _fields_ = (
        ("version", c.c_uint32),
        ("name", c.c_char_p),
        ("input_count", c.c_uint32),
        ("inputs", c.POINTER(Tensor)),
        ("output_count", c.c_uint32),
        ("outputs", c.POINTER(Tensor)),
        ("_tail", c.c_uint8 * 40),
    )


class BinaryInfo(c.Structure):
    """`QnnSystemContext_BinaryInfo_t` of version 3: what a compiled context says of itself."""

    _fields_ = (
        ("version", c.c_uint32),
        ("_padding", c.c_uint32),
        ("backend_id", c.c_uint32),
        ("build_id", c.c_char_p),
        ("core_version", Version),
        ("backend_version", Version),
        ("soc_version", c.c_char_p),
        ("blob_version", Version),
        ("blob_size", c.c_uint64),
        ("tensor_count", c.c_uint32),
        ("tensors", c.POINTER(Tensor)),
        ("graph_count", c.c_uint32),
        ("graphs", c.POINTER(GraphInfo)),
        ("_skipped", c.c_uint8 * 24),
        ("soc_model", c.c_uint32),
    )


class ProfileEvent(c.Structure):
    """`QnnProfile_EventData_t`."""

    _fields_ = (
        ("type", c.c_uint32),
        ("unit", c.c_uint32),
        ("value", c.c_uint64),
        ("identifier", c.c_char_p),
    )


class CustomConfig(c.Structure):
    """`QnnDevice_Config_t` and `QnnGraph_Config_t` with option CUSTOM (0)."""

    _fields_ = (("option", c.c_uint32), ("custom", c.c_void_p))


class HtpConfig(c.Structure):
    """`QnnHtpDevice_CustomConfig_t` (SoC) and `QnnHtpGraph_CustomConfig_t` (precision)."""

    _fields_ = (("option", c.c_uint32), ("_padding", c.c_uint32), ("value", c.c_uint32), ("_tail", c.c_uint8 * 52))


class DlcGraphConfig(c.Structure):
    """`QnnSystemDlc_GraphConfigInfo_t` of version 1."""

    _fields_ = (
        ("version", c.c_uint32),
        ("graph_name", c.c_char_p),
        ("configs", c.POINTER(c.POINTER(CustomConfig))),
        ("config_count", c.c_uint32),
    )


class Interface(c.Structure):
    """`QnnInterface_t` up to its function pointers."""

    _fields_ = (
        ("backend_id", c.c_uint32),
        ("provider", c.c_char_p),
        ("core_version", Version),
        ("backend_version", Version),
    )


class SystemInterface(c.Structure):
    """`QnnSystemInterface_t` up to its function pointers."""

    _fields_ = (("backend_id", c.c_uint32), ("provider", c.c_char_p), ("version", Version))


POINTERS_AT = {Interface: 40, SystemInterface: 32}
"""Byte position of the first function pointer."""


def interface_by_value(pointers: int) -> type[c.Structure]:
    """`QnnInterface_t` with its whole function table, for the call that takes it by value."""
    fields = (("head", c.c_uint8 * POINTERS_AT[Interface]), ("functions", c.c_void_p * pointers))
    return type("InterfaceByValue", (c.Structure,), {"_fields_": fields})
