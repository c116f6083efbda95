"""Time and memory of comparing every tensor of two models, such as a 24-layer MobileBERT, float against QDQ.

    make dlc MODEL=mobilebert RANDOM=1
    .venv/bin/python bench/layerwise.py FLOAT.onnx QDQ.onnx raw_inputs/mobilebert/calibration/list.txt

Prints tensors, inferences, seconds and peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

from snpe_tools.stages.layerwise import compare_layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("--limit", type=int, default=4)
    arguments = parser.parse_args()
    started = time.perf_counter()
    found = compare_layers(arguments.first, arguments.second, arguments.inputs, limit=arguments.limit)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{len(found.layers)} tensors, {found.inferences} inferences: {seconds:.1f} s, {peak:.2f} GB")


if __name__ == "__main__":
    main()
