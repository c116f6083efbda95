"""Two devices that share a data set, against one: what is gained where the device, not this machine, does the work.

The devices are fakes in folders whose `snpe-net-run` sleeps for each inference instead of computing, as this machine
does while a phone works. Prints one line for each; run it by hand: python bench/device_fleet.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from snpe_tools import convert
from snpe_tools.core.raw_files import read_list
from snpe_tools.devices import connect, parse_addresses
from snpe_tools.execution.fleet import Fleet, FleetMember, look, run_sharded
from snpe_tools.execution.on_device import DeviceRun, run_connected
from tests import device_double

NET_RUN = """#!/bin/sh
N=$(wc -l < list.txt); I=0
while [ $I -lt $N ]; do
  sleep {seconds}; mkdir -p output/Result_$I; head -c 16 /dev/zero > output/Result_$I/y.raw
  echo 'Processing DNN input(s):'; I=$((I + 1))
done
"""


def make_model(folder: Path, windows: int) -> tuple[Path, Path]:
    """A DLC of one operation, and a list of raw files for it."""
    tensor = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"}
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [tensor["x"]], [tensor["y"]])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), folder / "m.onnx")
    convert(folder / "m.onnx", folder / "m.dlc")
    for index in range(windows):
        (folder / f"{index}.raw").write_bytes(np.full(4, index, np.float32).tobytes())
    (folder / "list.txt").write_text("".join(f"x:={index}.raw\n" for index in range(windows)))
    return folder / "m.dlc", folder / "list.txt"


def measure(addresses: str, dlc: Path, listed: Path, folder: Path) -> float:
    """Seconds until all inferences of the list have their results."""
    members = look(parse_addresses(addresses))
    parsed = read_list(listed)

    def carry_out(member: FleetMember, rows: Sequence[int], turn: int) -> DeviceRun:
        part = replace(parsed, lines=tuple(parsed.lines[row] for row in rows))
        with connect(member.address) as device:
            return run_connected(device, dlc, part, folder / f"{member.address.target.rpartition('/')[2]}.{turn}")

    started = time.perf_counter()
    shares = list(run_sharded(Fleet({}), members, range(len(parsed.lines)), carry_out))
    assert sorted(row for share in shares for row in share.rows) == list(range(len(parsed.lines)))
    return time.perf_counter() - started


def main(windows: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        program = NET_RUN.format(seconds=seconds).encode()
        os.environ["SNPE_ROOT"] = str(device_double.make_sdk(folder / "sdk", program=program))
        phones = [device_double.make_phone(folder / f"phone{number}") for number in range(3)]
        dlc, listed = make_model(folder, windows)
        for phone in phones:  # the runtime is pushed once, and is no part of this
            measure(f"fake:{phone}", dlc, listed.with_name("list.txt"), folder / "warm")
        alone = measure(f"fake:{phones[0]}", dlc, listed, folder / "alone")
        shared = measure(f"fake:{phones[1]},fake:{phones[2]}", dlc, listed, folder / "shared")
    print(
        f"{windows} inferences of {seconds} s: one device {alone:.1f} s, two {shared:.1f} s: {alone / shared:.2f} times"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.25)
    given = parser.parse_args()
    main(given.windows, given.seconds)
