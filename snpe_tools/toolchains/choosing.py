"""The toolchain that a name, or else the environment, asks for."""

from __future__ import annotations

from snpe_tools.core.progress import say
from snpe_tools.core.validation import one_of
from snpe_tools.toolchains import Toolchain
from snpe_tools.toolchains.sdk.versions import Family

AUTO, PYPI, SDK = "auto", "pypi", "sdk"


def choose(name: str = AUTO, *, sdk_python: str = "", sdk_tools: Family | None = None) -> Toolchain:
    """The toolchain called `name`.

    Args:
        name: "pypi", "sdk", or "auto": the SDK where SNPE_ROOT, QNN_SDK_ROOT or QAIRT_SDK_ROOT is set, and said so.
        sdk_python: Python that the SDK's scripts run with; found by version when "".
        sdk_tools: its snpe-* or qairt-* tools; None takes snpe-* where the SDK has them.

    Raises:
        UsageError: an unknown name.
        SetupError: the SDK is asked for, and cannot be used.
    """
    from snpe_tools.toolchains.pypi import PyPI
    from snpe_tools.toolchains.sdk import SdkTools
    from snpe_tools.toolchains.sdk.environment import find_sdk, root_variable

    one_of((AUTO, PYPI, SDK), name, "toolchain")
    variable = root_variable()
    if name == PYPI or (name == AUTO and not variable):
        return PyPI()
    toolchain = SdkTools(find_sdk(sdk_python, sdk_tools))
    if name == AUTO:
        say(f"{variable} is set: {toolchain.label} makes the DLC. TOOLCHAIN=pypi (--toolchain pypi) needs no SDK.")
    return toolchain
