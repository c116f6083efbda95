"""Time and memory of comparing every tensor of two models, such as a 24-layer MobileBERT, float against QDQ.

    make dlc MODEL=mobilebert RANDOM=1
    .venv/bin/python bench/layerwise.py FLOAT.onnx QDQ.onnx raw_inputs/mobilebert/calibration/list.txt

`--device` runs DLC files on a device, such as fake:FOLDER. Prints tensors, inferences, seconds and peak memory: of this
process, and of the largest it started (the emulator's workers, or what a fake device runs).
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

from snpe_tools.devices.transports.address import HOST
from snpe_tools.execution.on_device import DeviceOptions
from snpe_tools.execution.targets import parse_places
from snpe_tools.steps.compare_layers import compare_layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("--limit", type=int, default=4)
    parser.add_argument("--device", default=HOST)
    arguments = parser.parse_args()
    models, places = (arguments.first, arguments.second), parse_places(arguments.device, DeviceOptions())
    started = time.perf_counter()
    found = compare_layers(*models, arguments.inputs, limit=arguments.limit, places=places)
    seconds = time.perf_counter() - started
    own, children = (
        resource.getrusage(who).ru_maxrss / 1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"{len(found.layers)} tensors, {found.inferences} inferences: {seconds:.1f} s, {own:.2f} + {children:.2f} GB")


if __name__ == "__main__":
    main()
