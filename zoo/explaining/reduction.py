"""Backward rules of operators that make one number of many."""

from __future__ import annotations

from zoo.explaining.step import Rules, Step, normalized_axes
from zoo.onnx_graph import Tensor


def _axes(step: Step) -> list[int]:
    """The reduced axes: an attribute up to opset 17, an input since; none means all."""
    given = step.attribute("axes")
    if given is None and step.input(1):
        given = step.fixed(1)
    rank = step.rank(step.input(0))
    if given is None or len(given) == 0:
        return [] if step.attribute("noop_with_empty_axes", 0) else list(range(rank))
    return normalized_axes(list(given), rank)


def _kept(step: Step, tensor: Tensor) -> Tensor:
    """A tensor of the output's shape, with the reduced axes as ones."""
    axes = _axes(step)
    if step.attribute("keepdims", 1) or not axes:
        return tensor
    return step.op("Unsqueeze", tensor, step.graph.axis(*axes))


def _sum(step: Step, position: int) -> Tensor:
    return step.expanded(_kept(step, step.grad), step.input(0))


def _mean(step: Step, position: int) -> Tensor:
    total, each = step.op("Size", step.input(0)), step.op("Size", step.output)
    kind = step.graph.type_of(step.values[step.output])
    parts = [step.op("Cast", number, to=kind) for number in (each, total)]
    return step.times(_sum(step, position), step.op("Div", *parts))


def _extreme(step: Step, position: int) -> Tensor:
    """ReduceMax and ReduceMin: those that are equal share the gradient."""
    x = step.input(0)
    hits = step.flags(step.op("Equal", x, _kept(step, step.output)), x)
    ties = step.summed(hits, _axes(step)) if _axes(step) else hits
    return step.times(_kept(step, step.grad), step.op("Div", hits, ties))


def _log_sum_exp(step: Step, position: int) -> Tensor:
    share = step.op("Exp", step.op("Sub", step.input(0), _kept(step, step.output)))
    return step.times(_kept(step, step.grad), share)


def _square(step: Step, position: int) -> Tensor:
    x = step.input(0)
    return step.times(_kept(step, step.grad), x, step.number(2, x))


def _l2(step: Step, position: int) -> Tensor:
    share = step.op("Div", step.input(0), _kept(step, step.output))
    return step.times(_kept(step, step.grad), share)


def _l1(step: Step, position: int) -> Tensor:
    return step.times(_kept(step, step.grad), step.op("Sign", step.input(0)))


RULES: Rules = {
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _extreme,
    "ReduceMean": _mean,
    "ReduceMin": _extreme,
    "ReduceSum": _sum,
    "ReduceSumSquare": _square,
}
