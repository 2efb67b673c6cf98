"""The gate: a model folder from anywhere is data, never code.

    wire      the protobuf encoding, read within limits and without any schema
    tensors   what a stored tensor announces against what it carries
    sizes     sizes on their way from stored numbers to the operators that make tensors
    graph     what an ONNX graph holds, and what of it is refused
    files     what may lie in a model folder, and what its bytes must look like
    trial     a first session and batch in a child process, under limits of memory and time

`onnx.checker` passes unknown domains and initializers of 160 GB, and ONNX Runtime runs a loop of
2^62 steps; so the gate reads the bytes itself. It costs milliseconds and needs no onnx, and every
graph passes it before a session sees it.
"""

from __future__ import annotations
