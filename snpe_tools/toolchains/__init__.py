"""Who makes a DLC from an ONNX model: `pypi` (ONNX Runtime QNN), with nothing but `pip install`."""
