"""Every error a user can meet, as one tree.

    SnpeToolsError                 exit code
    ├── UsageError                 2   a flag, a name or a value that is not understood
    ├── InputError                 3   a file or folder that cannot be used
    │   ├── CheckpointError            not a checkpoint of the task
    │   ├── OnnxError                  not a usable fixed-shape ONNX model
    │   ├── DlcError                   not a readable DLC
    │   ├── DataError                  malformed or leaking examples
    │   ├── TensorError                a raw file or input list that does not fit the model
    │   └── RecipeError                a recipe with an unknown or wrong key
    ├── ConversionError            4   the toolchain refused the model
    ├── DivergenceError            10  a model computes something else than the one it was made of or is compared with
    ├── ExecutionError             5   the model did not run to its end
    │   ├── QnnError                   the runtime returned an error number
    │   └── DeviceError                a device cannot be reached, or does not do what it was asked
    │       └── DeviceLostError            the connection broke: what arrived is there, and the rest can follow
    ├── AccuracyError              6   the gate: the model runs, but no longer predicts as it did
    ├── SetupError                 7   a package, tool, network or platform that is missing
    │   ├── MissingFileError           the server has no such file
    │   └── MissingRuntimeError        a device's runtime, which `sdk fetch` could bring
    └── StorageError               8   no space, no permission

Exit code 1 is a defect of this project (please report it), 9 says that `diff` found differences, 130 is Ctrl-C, 143
SIGTERM.
Each message says what happened and to which file, tensor or node; `hint` says what to do next.
"""

from __future__ import annotations

from typing import ClassVar

DIFFERENT = 9
"""Exit code of `diff` when the files differ; no error."""


class SnpeToolsError(Exception):
    """Base of all errors. `str()` gives the message and, on a line of its own, the hint."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


class UsageError(SnpeToolsError):
    """A flag, a name or a value that is not understood."""

    exit_code = 2


class InputError(SnpeToolsError):
    """A file or folder that cannot be used."""

    exit_code = 3


class CheckpointError(InputError):
    """Not a checkpoint of the task."""


class OnnxError(InputError):
    """Not a usable fixed-shape ONNX model."""


class DlcError(InputError):
    """Not a readable DLC."""


class DataError(InputError):
    """Malformed examples, or calibration data that leaks into the evaluation."""


class TensorError(InputError):
    """A raw file or an input list that does not fit the model."""


class RecipeError(InputError):
    """A recipe with an unknown or wrong key."""


class ConversionError(SnpeToolsError):
    """The toolchain refused the model."""

    exit_code = 4


class DivergenceError(SnpeToolsError):
    """A model does not compute what the one computes that it was made of, or that it is compared with."""

    exit_code = 10


class ExecutionError(SnpeToolsError):
    """The model did not run to its end."""

    exit_code = 5


class QnnError(ExecutionError):
    """The QNN runtime returned an error number.

    Attributes:
        code: the number, without the handle bits (`QNN_GET_ERROR_CODE`).
    """

    def __init__(self, message: str, hint: str = "", *, code: int = 0) -> None:
        super().__init__(message, hint)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_qnn_error, (self.message, self.hint, self.code)


def _rebuild_qnn_error(message: str, hint: str, code: int) -> QnnError:
    return QnnError(message, hint, code=code)


class DeviceError(ExecutionError):
    """A device cannot be reached, or does not do what it was asked.

    Attributes:
        address: the device as the user named it; the message begins with it.
    """

    def __init__(self, message: str, hint: str = "", *, address: str) -> None:
        super().__init__(f"{address}: {message}", hint)
        self.address = address

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_device_error, (type(self), self.message, self.hint, self.address)


def _rebuild_device_error(kind: type[DeviceError], message: str, hint: str, address: str) -> DeviceError:
    return kind(message.removeprefix(f"{address}: "), hint, address=address)


class DeviceLostError(DeviceError):
    """The connection to a device broke. What had arrived is there; the same command sends the rest."""


class AccuracyError(SnpeToolsError):
    """The gate: the model runs, but predicts worse than was asked for."""

    exit_code = 6


class SetupError(SnpeToolsError):
    """A package, tool, network or platform that is missing."""

    exit_code = 7


class StorageError(SnpeToolsError):
    """No space, no permission."""

    exit_code = 8
