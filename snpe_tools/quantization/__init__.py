"""Post-training quantization with AIMET: ranges in, QDQ ONNX and encodings out."""
