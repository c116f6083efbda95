"""Tests that a transport, a runtime, a toolchain or a task of your own has to pass.

Inherit a suite in a test file of yours and give it the fixture that it names; pytest then runs all of its tests:

    class TestSerial(TransportSuite):
        @pytest.fixture
        def transport(self) -> Iterator[Transport]:
            transport = SerialTransport("/dev/ttyUSB0")
            yield transport
            transport.close()

The suites import nothing of pytest. `pytest.register_assert_rewrite("snpe_tools.testing")` in your `conftest.py` shows
the values of a failed assertion.
"""

from __future__ import annotations

from snpe_tools.testing.transport import TransportSuite

__all__ = ["TransportSuite"]
