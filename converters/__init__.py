"""Recipes that train networks and export them to ONNX; they need torch, `zoo` does not."""
