"""Backward rules of matrix products, normalizations and softmax."""

from __future__ import annotations

import math

from zoo.explaining.recording import Shape
from zoo.explaining.step import Rules, Step
from zoo.onnx_graph import Tensor

# -- products ------------------------------------------------------------------------------------


def _matmul(step: Step, position: int) -> Tensor:
    """Matrices in the last two axes, those before broadcast; a vector counts as one column."""
    left, right = step.input(0), step.input(1)
    grad, ranks = step.grad, (step.rank(left), step.rank(right))
    if ranks[0] == 1:
        grad = step.op("Unsqueeze", grad, step.graph.axis(-2 if ranks[1] > 1 else 0))
    if ranks[1] == 1:
        grad = step.op("Unsqueeze", grad, step.graph.axis(-1))
    if position == 0:
        product = _times_transposed(step, grad, right, ranks)
    else:
        product = step.op("MatMul", _transposed(step, left, ranks[0]), grad)
    return _summed_over_stack(step, product, position, ranks)


def _times_transposed(step: Step, grad: Tensor, right: Tensor, ranks: tuple[int, int]) -> Tensor:
    if ranks == (2, 2):  # without a transposed copy of the weights
        return step.op("Gemm", grad, right, transB=1)
    if ranks[1] == 1:
        row = step.op("Unsqueeze", right, step.graph.axis(0))
        return step.op("MatMul", grad, row)
    return step.op("MatMul", grad, _transposed(step, right, ranks[1]))


def _transposed(step: Step, matrix: Tensor, rank: int) -> Tensor:
    if rank == 1:
        return step.op("Unsqueeze", matrix, step.graph.axis(-1))
    return step.op("Transpose", matrix, perm=[*range(rank - 2), rank - 1, rank - 2])


def _summed_over_stack(
    step: Step, product: Tensor, position: int, ranks: tuple[int, int]
) -> Tensor:
    shapes = [step.shapes[step.input(0)], step.shapes[step.input(1)]]
    if ranks[0] == 1:
        shapes[0] = (1, *shapes[0])
    if ranks[1] == 1:
        shapes[1] = (*shapes[1], 1)
    narrow = shapes[position]
    wide = (*_broadcast(shapes[0][:-2], shapes[1][:-2]), *narrow[-2:])
    summed = step.summed_to(product, wide, narrow)
    if ranks[position] == 1:
        return step.op("Squeeze", summed, step.graph.axis(-2 if position == 0 else -1))
    return summed


def _broadcast(one: Shape, other: Shape) -> Shape:
    rank = max(len(one), len(other))
    pairs = zip(*((*(1,) * (rank - len(shape)), *shape) for shape in (one, other)), strict=True)
    return tuple(b if a == 1 else a for a, b in pairs)


def _gemm(step: Step, position: int) -> Tensor:
    """Y = alpha · A' B' + beta · C."""
    alpha, beta = step.attribute("alpha", 1.0), step.attribute("beta", 1.0)
    turned = (step.attribute("transA", 0), step.attribute("transB", 0))
    left, right, grad = step.input(0), step.input(1), step.grad
    if position == 2:
        return step.unbroadcast(step.times(grad, step.number(beta, step.output)), 2)
    if position == 0:
        if turned[0]:
            return step.op("Gemm", right, grad, alpha=alpha, transA=turned[1], transB=1)
        return step.op("Gemm", grad, right, alpha=alpha, transB=1 - turned[1])
    if turned[1]:
        return step.op("Gemm", grad, left, alpha=alpha, transA=1, transB=turned[0])
    return step.op("Gemm", left, grad, alpha=alpha, transA=1 - turned[0])


# -- softmax -------------------------------------------------------------------------------------


def _softmax(step: Step, position: int) -> Tensor:
    axis = [step.attribute("axis", -1)]
    weighted = step.times(step.grad, step.output)
    mean = step.times(step.output, step.summed(weighted, axis))
    return step.op("Sub", weighted, mean)


def _log_softmax(step: Step, position: int) -> Tensor:
    axis = [step.attribute("axis", -1)]
    share = step.times(step.op("Exp", step.output), step.summed(step.grad, axis))
    return step.op("Sub", step.grad, share)


# -- normalizations ------------------------------------------------------------------------------


def _layer_normalization(step: Step, position: int) -> Tensor:
    """Ba et al. 2016: y = scale · x̂ + bias,  x̂ = (x - mean) / sqrt(variance + epsilon)."""
    x, scale = step.input(0), step.input(1)
    axis = step.attribute("axis", -1) % step.rank(x)
    axes = list(range(axis, step.rank(x)))
    if position == 2:
        return step.unbroadcast(step.grad, 2)
    size = step.number(1 / math.prod(step.shapes[x][a] or 1 for a in axes), x)
    centred = step.op("Sub", x, step.times(step.summed(x, axes), size))
    variance = step.times(step.summed(step.times(centred, centred), axes), size)
    floored = step.op("Add", variance, step.number(step.attribute("epsilon", 1e-5), x))
    scatter = step.op("Sqrt", floored)
    standard = step.op("Div", centred, scatter)
    if position == 1:
        return step.unbroadcast(step.times(step.grad, standard), 1)
    grad = step.times(step.grad, scale)
    level = step.times(step.summed(grad, axes), size)
    along = step.times(step.summed(step.times(grad, standard), axes), size, standard)
    return step.op("Div", step.op("Sub", step.op("Sub", grad, level), along), scatter)


def _batch_normalization(step: Step, position: int) -> Tensor | None:
    """With frozen statistics: a scale for each channel (axis 1)."""
    if position > 0:
        return None
    scale, variance = step.input(1), step.input(4)
    floored = step.op("Add", variance, step.number(step.attribute("epsilon", 1e-5), variance))
    factor = step.op("Div", scale, step.op("Sqrt", floored))
    if behind := step.rank(step.input(0)) - 2:
        factor = step.op("Unsqueeze", factor, step.graph.axis(*range(1, behind + 1)))
    return step.times(step.grad, factor)


RULES: Rules = {
    "BatchNormalization": _batch_normalization,
    "Gemm": _gemm,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _log_softmax,
    "MatMul": _matmul,
    "Softmax": _softmax,
}
