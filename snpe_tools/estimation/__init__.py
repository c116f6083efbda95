"""Milliseconds on a Snapdragon NPU without a device: a small model fitted to published measurements."""
