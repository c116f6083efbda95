"""The handles every QNN call needs: log, backend, device. Opened in order, freed newest first."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from contextlib import ExitStack

from snpe_tools.core.errors import QnnError
from snpe_tools.core.socs import Soc
from snpe_tools.qnn import abi
from snpe_tools.qnn.library import htp_interface, system_interface
from snpe_tools.qnn.log import LogLines


class Handles:
    """The HTP backend of one SoC; None is the SoC of the board that this runs on.

    Attributes:
        label: the file that is worked on, for messages.
        core, system: the functions of the HTP backend and of the system library.
        interface: the HTP backend's whole function table, for the call that takes it by value.
        stack: what is freed at the end; later handles join it.
    """

    def __init__(self, label: str, soc: Soc | None) -> None:
        self.label, self.soc = label, soc
        self.stack, self.log_lines = ExitStack(), LogLines()
        self.core, self.interface = htp_interface()
        self.system = system_interface()
        try:
            self.log = self.create("logCreate", self.log_lines.callback, c.c_uint32(abi.LOG_LEVEL_WARN), free="logFree")
            self.backend = self.create("backendCreate", self.log, None, free="backendFree")
            self.device = self.create("deviceCreate", self.log, self._soc_config(), free="deviceFree")
        except BaseException:
            self.stack.close()
            raise

    def create(self, function: str, *arguments: object, free: str) -> c.c_void_p:
        """The handle that a core function makes; `free` is called with it at the end."""
        handle = c.c_void_p()
        self.checked(function, lambda: self.core(function, *arguments, c.byref(handle)))
        self.stack.callback(self.core, free, handle)
        return handle

    def checked(self, step: str, call: Callable[[], None]) -> None:
        """Call, and explain an error with the file, the SoC and the library's last log lines.

        Raises:
            QnnError: the call failed.
        """
        try:
            call()
        except QnnError as problem:
            where = self.soc or "this device"
            message = f"{self.label}: {step} for {where} failed.\n    {problem.message}{self.log_lines.tail()}"
            raise QnnError(message, problem.hint, code=problem.code) from problem

    def custom(self, htp: abi.HtpConfig) -> c.c_void_p:
        """A null-terminated list of one custom configuration, kept alive with these handles."""
        config = abi.CustomConfig(option=0, custom=c.cast(c.pointer(htp), c.c_void_p))
        array = (c.POINTER(abi.CustomConfig) * 2)(c.pointer(config))
        self.keep(htp, config, array)
        return c.cast(array, c.c_void_p)

    def keep(self, *objects: object) -> None:
        """Hold objects alive until the handles are freed."""
        self.stack.callback(_nothing, *objects)

    def _soc_config(self) -> c.c_void_p | None:
        return self.custom(abi.HtpConfig(option=abi.HTP_DEVICE_SOC, value=self.soc.id)) if self.soc else None


def _nothing(*_objects: object) -> None:
    """Does nothing; being registered with its arguments keeps them alive."""
