"""One file for each kind of encoder: how it is drawn in ONNX; found by walking its ``DRAWING``."""
