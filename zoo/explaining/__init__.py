"""Making `explain.onnx` from `model.onnx`: integrated gradients by backward rules.

One rule for each operator, so no architecture writes a backward pass of its own:

    recording  what each tensor of the graph looks like, observed on cells
    path       where the attributed genes are, and how far the path to them stays straight
    target     what is explained: the log-odds of a class
    backward   the rules (elementwise, linear, reduction, arrangement) applied in reverse
    storage    weights as int8 or float16
    explainer  all of it, from bytes to bytes

Needs the package onnx; to read an explanation (`zoo explain`) the runner needs none of this.
"""
