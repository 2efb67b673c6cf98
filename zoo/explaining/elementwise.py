"""Backward rules of operators that work on each number by itself, with broadcasting."""

from __future__ import annotations

import math

from zoo.explaining.step import Rules, Step
from zoo.onnx_graph import Tensor

# -- of two tensors ------------------------------------------------------------------------------


def _add(step: Step, position: int) -> Tensor:
    return step.unbroadcast(step.grad, position)


def _sub(step: Step, position: int) -> Tensor:
    grad = step.grad if position == 0 else step.op("Neg", step.grad)
    return step.unbroadcast(grad, position)


def _mul(step: Step, position: int) -> Tensor:
    return step.unbroadcast(step.times(step.grad, step.input(1 - position)), position)


def _div(step: Step, position: int) -> Tensor:
    share = step.op("Div", step.grad, step.input(1))
    if position == 1:
        share = step.op("Neg", step.times(share, step.output))
    return step.unbroadcast(share, position)


def _pow(step: Step, position: int) -> Tensor:
    base, exponent = step.input(0), step.input(1)
    if step.values[base].dtype != step.values[exponent].dtype:
        exponent = step.op("Cast", exponent, to=step.graph.type_of(step.values[base]))
    if position == 0:
        lower = step.op("Sub", exponent, step.number(1, base))
        slope = step.times(exponent, step.op("Pow", base, lower))
    else:
        slope = step.times(step.output, step.op("Log", base))
    return step.unbroadcast(step.times(step.grad, slope), position)


def _extreme(step: Step, position: int) -> Tensor:
    """Max and Min: those that are equal share the gradient."""
    hits = [
        step.flags(step.op("Equal", name, step.output), step.output) for name in step.node.inputs
    ]
    ties = hits[0]
    for hit in hits[1:]:
        ties = step.op("Add", ties, hit)
    return step.unbroadcast(step.times(step.grad, step.op("Div", hits[position], ties)), position)


def _where(step: Step, position: int) -> Tensor | None:
    if position == 0:
        return None
    zero = step.number(0, step.output)
    chosen = (step.grad, zero) if position == 1 else (zero, step.grad)
    return step.unbroadcast(step.op("Where", step.input(0), *chosen), position)


# -- of one tensor -------------------------------------------------------------------------------


def _scaled(step: Step, slope: Tensor) -> Tensor:
    return step.times(step.grad, slope)


def _identity(step: Step, position: int) -> Tensor | None:
    return step.grad if position == 0 else None


def _cast(step: Step, position: int) -> Tensor | None:
    """Between floats; what comes from or becomes an integer or a flag carries no gradient."""
    before, after = step.values[step.input(0)].dtype, step.values[step.output].dtype
    if before.kind != "f" or after.kind != "f":
        return None
    return step.op("Cast", step.grad, to=step.graph.type_of(step.values[step.input(0)]))


def _neg(step: Step, position: int) -> Tensor:
    return step.op("Neg", step.grad)


def _abs(step: Step, position: int) -> Tensor:
    return _scaled(step, step.op("Sign", step.input(0)))


def _exp(step: Step, position: int) -> Tensor:
    return _scaled(step, step.output)


def _log(step: Step, position: int) -> Tensor:
    return step.op("Div", step.grad, step.input(0))


def _sqrt(step: Step, position: int) -> Tensor:
    return step.op("Div", step.grad, step.times(step.number(2, step.output), step.output))


def _reciprocal(step: Step, position: int) -> Tensor:
    return step.op("Neg", _scaled(step, step.times(step.output, step.output)))


def _sigmoid(step: Step, position: int) -> Tensor:
    rest = step.op("Sub", step.number(1, step.output), step.output)
    return _scaled(step, step.times(step.output, rest))


def _tanh(step: Step, position: int) -> Tensor:
    squared = step.times(step.output, step.output)
    return _scaled(step, step.op("Sub", step.number(1, step.output), squared))


def _softplus(step: Step, position: int) -> Tensor:
    return _scaled(step, step.op("Sigmoid", step.input(0)))


def _erf(step: Step, position: int) -> Tensor:
    return _scaled(step, _bell(step, step.input(0), 1.0, 2 / math.sqrt(math.pi)))


def _bell(step: Step, x: Tensor, power: float, height: float) -> Tensor:
    """height · exp(-power · x²)."""
    squared = step.times(x, x, step.number(-power, x))
    return step.times(step.op("Exp", squared), step.number(height, x))


def _gelu(step: Step, position: int) -> Tensor:
    x = step.input(0)
    if step.attribute("approximate", b"none") == b"tanh":
        return _gelu_by_tanh(step, x)
    # Φ(x) + x φ(x)
    erf = step.op("Erf", step.times(x, step.number(math.sqrt(0.5), x)))
    below = step.times(step.op("Add", erf, step.number(1, x)), step.number(0.5, x))
    density = _bell(step, x, 0.5, 1 / math.sqrt(2 * math.pi))
    return _scaled(step, step.op("Add", below, step.times(x, density)))


def _gelu_by_tanh(step: Step, x: Tensor) -> Tensor:
    # 0.5 (1 + t) + 0.5 x (1 - t²) u',  t = tanh(u),  u = c (x + 0.044715 x³)
    c, cubic = math.sqrt(2 / math.pi), 0.044715
    one, half = step.number(1, x), step.number(0.5, x)
    squared = step.times(x, x)
    bracket = step.op("Add", one, step.times(squared, step.number(cubic, x)))
    t = step.op("Tanh", step.times(x, bracket, step.number(c, x)))
    inner = step.op("Add", one, step.times(squared, step.number(3 * cubic, x)))
    slope = step.times(inner, step.number(c, x), step.op("Sub", one, step.times(t, t)), x)
    return _scaled(step, step.times(half, step.op("Add", step.op("Add", one, t), slope)))


def _asinh(step: Step, position: int) -> Tensor:
    x = step.input(0)
    squared = step.op("Add", step.times(x, x), step.number(1, x))
    return step.op("Div", step.grad, step.op("Sqrt", squared))


# -- with a kink ---------------------------------------------------------------------------------


def _relu(step: Step, position: int) -> Tensor:
    return _above_zero(step, step.number(0, step.output))


def _leaky_relu(step: Step, position: int) -> Tensor:
    return _above_zero(step, step.number(step.attribute("alpha", 0.01), step.output))


def _prelu(step: Step, position: int) -> Tensor:
    x = step.input(0)
    if position == 0:
        return _above_zero(step, step.input(1))
    below = step.op("Min", x, step.number(0, x))
    return step.unbroadcast(_scaled(step, below), 1)


def _elu(step: Step, position: int) -> Tensor:
    alpha = step.attribute("alpha", 1.0)
    return _above_zero(step, step.op("Add", step.output, step.number(alpha, step.output)))


def _above_zero(step: Step, below: Tensor) -> Tensor:
    """Slope 1 above zero and `below` elsewhere."""
    x = step.input(0)
    positive = step.op("Greater", x, step.number(0, x))
    return _scaled(step, step.op("Where", positive, step.number(1, x), below))


def _clip(step: Step, position: int) -> Tensor | None:
    if position > 0:  # limits are constants
        return None
    x, grad = step.input(0), step.grad
    for limit, within in ((step.input(1), "GreaterOrEqual"), (step.input(2), "LessOrEqual")):
        if limit:
            grad = step.op("Where", step.op(within, x, limit), grad, step.number(0, x))
    return grad


def _flat(step: Step, position: int) -> None:
    """Steps have no slope."""


RULES: Rules = {
    "Abs": _abs, "Add": _add, "Asinh": _asinh, "Cast": _cast, "Ceil": _flat, "Clip": _clip,
    "Div": _div, "Dropout": _identity, "Elu": _elu, "Erf": _erf, "Exp": _exp, "Floor": _flat,
    "Gelu": _gelu, "Identity": _identity, "LeakyRelu": _leaky_relu, "Log": _log, "Max": _extreme,
    "Min": _extreme, "Mul": _mul, "Neg": _neg, "PRelu": _prelu, "Pow": _pow,
    "Reciprocal": _reciprocal, "Relu": _relu, "Round": _flat, "Sigmoid": _sigmoid, "Sign": _flat,
    "Softplus": _softplus, "Sqrt": _sqrt, "Sub": _sub, "Sum": _add, "Tanh": _tanh,
    "Where": _where,
}  # fmt: skip
