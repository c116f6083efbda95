"""A conversion that proves itself: one inference of the DLC on the emulator beside its ONNX model on ONNX Runtime."""
