"""Compiles an ONNX model to a context with ONNX Runtime QNN: MODEL.onnx CONTEXT.onnx SOC_IDS. A program of its own."""

from __future__ import annotations

import sys

import onnxruntime as ort

from snpe_tools.qnn.library import library_folder
from snpe_tools.toolchains.pypi.dump import PROVIDER


def main(model: str, target: str, socs: str) -> None:
    libraries = library_folder()
    ort.register_execution_provider_library(PROVIDER, str(libraries / "libonnxruntime_providers_qnn.so"))
    options = ort.SessionOptions()
    for key, value in (
        ("session.disable_cpu_ep_fallback", "1"),
        ("ep.context_enable", "1"),
        ("ep.context_file_path", target),
        ("ep.context_embed_mode", "0"),
    ):
        options.add_session_config_entry(key, value)
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER][:1]
    settings = {
        "backend_path": str(libraries / "libQnnHtp.so"),
        "soc_model": socs,
        "offload_graph_io_quantization": "0",
    }
    options.add_provider_for_devices(devices, settings)
    ort.InferenceSession(model, options)


if __name__ == "__main__":
    main(*sys.argv[1:])
