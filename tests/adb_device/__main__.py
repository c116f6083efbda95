"""`python -m tests.adb_device FOLDER`: a device on a port of loopback, which it prints first."""

from __future__ import annotations

import argparse
import socket
import threading
from pathlib import Path

from tests.adb_device.services import Services
from tests.adb_device.wire import Wire, serve

BANNER = "device::ro.product.name=double;ro.product.model=Double;ro.product.device=double;features="


def main(options: argparse.Namespace) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    services = Services(options.folder.resolve())
    banner = "" if options.locked else BANNER + options.features
    with socket.create_server(("127.0.0.1", options.port)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(connection, options.drop_after)
            threading.Thread(target=serve, args=(wire, banner, services.serve), daemon=True).start()
            options.drop_after = 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--drop-after", type=int, default=0, help="the first connection breaks after so many bytes")
    parser.add_argument("--features", default="shell_v2,cmd")
    parser.add_argument("--locked", action="store_true", help="nobody has allowed this computer yet")
    main(parser.parse_args())
