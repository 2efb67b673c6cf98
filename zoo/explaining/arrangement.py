"""Backward rules of operators that move numbers without changing them."""

from __future__ import annotations

import numpy as np

from zoo.explaining.recording import Array
from zoo.explaining.step import Rules, Step
from zoo.onnx_graph import Tensor

_TO_THE_END = np.iinfo(np.int64).max


def _reshaped(step: Step, position: int) -> Tensor | None:
    """Reshape, Flatten, Squeeze, Unsqueeze: back into the shape of the input."""
    return _back(step, step.grad) if position == 0 else None


def _back(step: Step, grad: Tensor) -> Tensor:
    return step.op("Reshape", grad, step.op("Shape", step.input(0)), allowzero=1)


def _transpose(step: Step, position: int) -> Tensor:
    rank = step.rank(step.input(0))
    perm = list(step.attribute("perm", range(rank)[::-1]))
    return step.op("Transpose", step.grad, perm=np.argsort(perm).tolist())


def _expand(step: Step, position: int) -> Tensor | None:
    return step.unbroadcast(step.grad, 0) if position == 0 else None


def _tile(step: Step, position: int) -> Tensor | None:
    """[a, b] repeated (m, n) times: summed over the repeats, (m, a, n, b) → (a, b)."""
    repeats = step.fixed(1)
    if position > 0 or repeats is None:
        return None
    lengths = step.op("Shape", step.input(0))
    parts = []
    for axis, times in enumerate(repeats.tolist()):
        length = step.op("Gather", lengths, step.graph.axis(axis), axis=0)
        parts += [step.graph.axis(times), length]
    split = step.op("Reshape", step.grad, step.op("Concat", *parts, axis=0), allowzero=1)
    return step.summed(split, range(0, 2 * len(repeats), 2), keepdims=0)


# -- parts of a tensor ---------------------------------------------------------------------------


def _concat(step: Step, position: int) -> Tensor:
    rank = step.rank(step.output)
    axis = step.attribute("axis") % rank
    lengths = [step.op("Shape", name, start=axis, end=axis + 1) for name in step.node.inputs]
    start = step.graph.axis(0)
    for length in lengths[:position]:
        start = step.op("Add", start, length)
    stop = step.op("Add", start, lengths[position])
    return step.op("Slice", step.grad, start, stop, step.graph.axis(axis))


def _split(step: Step, position: int) -> Tensor | None:
    """Gradients of the parts side by side; zeros for a part that nothing depends on."""
    if position > 0:
        return None
    parts = [
        grad or step.times(output, step.number(0, output))
        for grad, output in zip(step.grads, step.node.outputs, strict=True)
    ]
    return step.op("Concat", *parts, axis=step.attribute("axis", 0))


def _slice(step: Step, position: int) -> Tensor | None:
    """Each sliced axis as a gather of the places that it takes."""
    if position > 0:
        return None
    starts, stops = _required(step, 1), _required(step, 2)
    axes, steps = step.fixed(3), step.fixed(4)
    shape, grad = step.shapes[step.input(0)], step.grad
    listed = range(len(starts)) if axes is None else axes.tolist()
    strides = [1] * len(starts) if steps is None else steps.tolist()
    for axis, start, stop, stride in zip(listed, starts, stops, strides, strict=True):
        length = shape[axis]
        if length is None:
            if (start, stride) == (0, 1) and stop >= _TO_THE_END // 2:
                continue
            raise step.unruled("it takes a part of the batch")
        first = _limit(start, stride)
        last = _limit(stop, stride)
        places = np.arange(length)[slice(first, last, stride)]
        grad = _scattered(step, grad, places, axis % len(shape), length)
    return grad


def _limit(value: int, stride: int) -> int | None:
    """A limit of a slice as Python takes it: ONNX writes `to the end` as a huge number."""
    beyond = value <= -_TO_THE_END // 2 or value >= _TO_THE_END // 2
    return None if beyond and (stride > 0) == (value > 0) else int(value)


def _required(step: Step, position: int) -> list[int]:
    value = step.fixed(position)
    assert value is not None, f"{step.node.kind} has an input {position}"
    return [int(number) for number in value]


def _gather(step: Step, position: int) -> Tensor | None:
    if position > 0:
        return None
    shape = step.shapes[step.input(0)]
    axis = step.attribute("axis", 0) % len(shape)
    length = shape[axis]
    if step.input(1) in step.varying or length is None:
        return _added_up(step, axis)
    places = step.values[step.input(1)] % length
    if len(np.unique(places)) < places.size:
        return _added_up(step, axis)
    grad = step.grad if places.ndim == 1 else _flattened(step, step.grad, axis, places.ndim)
    return _scattered(step, grad, places.ravel(), axis, length)


def _flattened(step: Step, grad: Tensor, axis: int, of: int) -> Tensor:
    """The `of` axes of the indices as one."""
    if of == 0:
        return step.op("Unsqueeze", grad, step.graph.axis(axis))
    shape = step.op("Shape", grad)
    before = step.op("Slice", shape, step.graph.axis(0), step.graph.axis(axis))
    after = step.op("Slice", shape, step.graph.axis(axis + of), step.graph.axis(_TO_THE_END))
    return step.op("Reshape", grad, step.op("Concat", before, step.graph.axis(-1), after, axis=0))


def _scattered(step: Step, grad: Tensor, places: Array, axis: int, length: int) -> Tensor:
    """Rows put at distinct places of an axis, zeros elsewhere: gathered from rows and one zero."""
    source = np.full(length, len(places), dtype=np.int64)
    source[places] = np.arange(len(places))
    if len(places) < length:
        rank = step.rank(step.input(0))
        pads = np.zeros(2 * rank, dtype=np.int64)
        pads[rank + axis] = 1
        grad = step.op("Pad", grad, step.graph.constant(pads))
    return step.op("Gather", grad, step.graph.constant(source), axis=axis)


def _added_up(step: Step, axis: int) -> Tensor:
    """Rows added at places that may repeat (edges of a graph), along any axis."""
    x, grad, indices = step.input(0), step.grad, step.input(1)
    rank, of = step.rank(x), step.rank(indices)
    if of == 0:
        grad = step.op("Unsqueeze", grad, step.graph.axis(axis))
        indices = step.op("Unsqueeze", indices, step.graph.axis(0))
    elif of > 1:
        grad = _flattened(step, grad, axis, of)
        indices = step.op("Reshape", indices, step.graph.axis(-1))
    to_front = [axis, *(a for a in range(rank) if a != axis)]
    zeros = step.op("Transpose", step.times(x, step.number(0, x)), perm=to_front)
    column = step.op("Unsqueeze", indices, step.graph.axis(-1))
    rows = step.op("Transpose", grad, perm=to_front)
    added = step.op("ScatterND", zeros, column, rows, reduction="add")
    return step.op("Transpose", added, perm=np.argsort(to_front).tolist())


def _gather_elements(step: Step, position: int) -> Tensor | None:
    if position > 0:
        return None
    x = step.input(0)
    zeros = step.times(x, step.number(0, x))
    axis = step.attribute("axis", 0)
    return step.op("ScatterElements", zeros, step.input(1), step.grad, axis=axis, reduction="add")


def _scatter_nd(step: Step, position: int) -> Tensor | None:
    """Rows added to a tensor, as messages of a graph net to their receivers."""
    if step.attribute("reduction", b"none") != b"add":
        raise step.unruled("it replaces and does not add")
    if position == 1:
        return None
    return step.grad if position == 0 else step.op("GatherND", step.grad, step.input(1))


RULES: Rules = {
    "Concat": _concat,
    "Expand": _expand,
    "Flatten": _reshaped,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Reshape": _reshaped,
    "ScatterND": _scatter_nd,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _reshaped,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _reshaped,
}
