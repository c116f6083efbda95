"""Runs ONNX Runtime with the QNN execution provider until it has written its DLC. A program of its own.

    python -m snpe_tools.toolchains.pypi.dump MODEL.onnx FOLDER SOC_ID

It runs in a child process because the libraries print to stdout and stderr as they please, and may crash.
"""

from __future__ import annotations

import sys
from pathlib import Path

from snpe_tools.qnn.library import library_folder

PROVIDER = "QNNExecutionProvider"


def dump(model: Path, folder: Path, soc_id: int) -> None:
    """Write the DLC of `model` into `folder`; CPU fallback is off, so a refused node is an error."""
    import onnxruntime as ort

    libraries = library_folder()
    ort.set_default_logger_severity(0)
    ort.register_execution_provider_library(PROVIDER, str(libraries / "libonnxruntime_providers_qnn.so"))
    options = ort.SessionOptions()
    options.log_severity_level = 0
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER][:1]
    settings = {
        "backend_path": str(libraries / "libQnnHtp.so"),
        "soc_model": str(soc_id),
        "offload_graph_io_quantization": "0",
        "dump_qnn_ir_dlc": "1",
        "dump_qnn_ir_dlc_dir": str(folder),
        "qnn_ir_backend_path": str(libraries / "libQnnIr.so"),
    }
    options.add_provider_for_devices(devices, settings)
    ort.InferenceSession(str(model), options)


if __name__ == "__main__":
    dump(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
