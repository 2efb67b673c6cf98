"""Recipes that train networks and export them to ONNX. They need torch; `zoo` never imports them."""
