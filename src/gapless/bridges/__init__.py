"""Networks to and from PyTorch, scikit-learn and ONNX."""
