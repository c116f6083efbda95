"""Tests that a transport, a runtime, a toolchain or a task of your own has to pass.

Inherit a suite in a test file of yours and give it the fixture that it names; pytest then runs all of its tests:

    class TestSerial(TransportSuite):
        @pytest.fixture
        def transport(self) -> Iterator[Transport]:
            transport = OneWireTransport(Wire(os.open("/dev/ttyUSB0", os.O_RDWR | os.O_NOCTTY)), address, patience=20)
            yield transport
            transport.close()

The suites import nothing of pytest. `pytest.register_assert_rewrite("snpe_tools.testing")` in your `conftest.py` shows
the values of a failed assertion.
"""

from __future__ import annotations

from snpe_tools.testing.runtime import RuntimeSuite
from snpe_tools.testing.task import TaskSuite
from snpe_tools.testing.toolchain import ToolchainSuite
from snpe_tools.testing.transport import TransportSuite

__all__ = ["RuntimeSuite", "TaskSuite", "ToolchainSuite", "TransportSuite"]
