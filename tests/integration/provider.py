"""Runs an ONNX model with ONNX Runtime's QNN provider, for comparison. A program of its own, since libraries crash.

python -m tests.integration.provider MODEL.onnx LIST.txt OUT.npz SOC_ID
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from snpe_tools.core.raw_files import named, read_inputs, read_list
from snpe_tools.graph.loading import input_specs, load
from snpe_tools.qnn.library import library_folder
from snpe_tools.toolchains.pypi.dump import PROVIDER


def main(model: Path, listed: Path, target: Path, soc_id: int) -> None:
    import onnxruntime as ort

    libraries = library_folder()
    ort.register_execution_provider_library(PROVIDER, str(libraries / "libonnxruntime_providers_qnn.so"))
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER][:1]
    settings = {
        "backend_path": str(libraries / "libQnnHtp.so"),
        "soc_model": str(soc_id),
        "offload_graph_io_quantization": "0",
        "enable_htp_fp16_precision": "1",
    }
    options.add_provider_for_devices(devices, settings)
    session = ort.InferenceSession(str(model), options)
    specs, lines = input_specs(load(model)), read_list(listed)
    names = [value.name for value in session.get_outputs()]
    rows = [
        session.run(names, read_inputs(named(line, specs, listed, index), specs))
        for index, line in enumerate(lines.lines)
    ]
    columns: dict[str, Any] = {
        name: np.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    np.savez(target, **columns)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
