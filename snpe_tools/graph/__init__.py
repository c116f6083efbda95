"""Work on ONNX graphs: loading, inputs, the attention mask, value ranges, lint."""
