"""Bias-corrected temperature scaling: one slope for all logits and a bias for each class.

    z = a · logits + b

Alexandari, Kundaje and Shrikumar 2020 (ICML, arXiv:1901.06852): the temperature 1 / a mends how
sure a classifier is, the biases what a shift does to single classes and how common they are. Both
are held towards the identity (a = 1, b = 0) by a Gaussian prior, whose strength on the biases
(`shrinkage`) is chosen by the likelihood of cells left out; the identity is a choice too. The
bias of a class without any labelled cell stays 0: nothing was learnt about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from zoo.calibrating.evidence import Evidence, Float64, Int64, log_softmax
from zoo.calibrating.folds import folds_of, left_out_in_turn

SHRINKAGES: tuple[float | None, ...] = (None, 1e6, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""From strong to weak: None leaves the model as it is, 1e6 fits the temperature alone."""

_SLOPE_PRIOR = 1.0
_SMALLEST_SLOPE = 0.05
_STEPS = 50
_CLOSE = 1e-9


@dataclass(frozen=True)
class Scaling:
    """What is done to logits.

    Attributes
    ----------
    slope
        The inverse of the temperature.
    bias
        float64 [classes].
    shrinkage
        Strength of the prior on the biases (inverse variance); None for the identity.

    """

    slope: float
    bias: Float64
    shrinkage: float | None

    @classmethod
    def identity(cls, classes: int) -> Self:
        """The scaling that changes nothing."""
        return cls(1.0, np.zeros(classes), None)

    def __call__(self, logits: Float64) -> Float64:
        """Scaled logits [cells, classes]."""
        scaled: Float64 = self.slope * logits + self.bias
        return scaled


def fit(evidence: Evidence, shrinkage: float | None) -> Scaling:
    """The scaling of largest posterior density, by Newton's method (the problem is convex)."""
    logits, truth = evidence.logits, evidence.truth
    classes = logits.shape[1]
    if shrinkage is None:
        return Scaling.identity(classes)
    seen = np.bincount(truth, minlength=classes) > 0
    free = np.concatenate([[True], seen])  # slope, then biases
    mean = np.concatenate([[1.0], np.zeros(classes)])
    prior = np.concatenate([[_SLOPE_PRIOR], np.full(classes, shrinkage)])
    point, loss = mean.copy(), _loss(mean, logits, truth, prior, mean)
    for _ in range(_STEPS):
        gradient, hessian = _derivatives(point, logits, truth, prior, mean)
        step = np.zeros_like(point)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        point, lower = _descend(point, step, loss, (logits, truth, prior, mean))
        if loss - lower < _CLOSE * (1 + abs(loss)):
            break
        loss = lower
    return Scaling(float(point[0]), point[1:], shrinkage)


@dataclass(frozen=True)
class Chosen:
    """A scaling with the shrinkage that predicted cells left out best.

    Attributes
    ----------
    scaling
        Fitted to all cells.
    left_out
        float64 [cells, classes]: scaled logits of each cell by a scaling that was fitted without
        its fold.
    loss
        Mean negative log-likelihood of the cells left out, by shrinkage.

    """

    scaling: Scaling
    left_out: Float64
    loss: dict[float | None, float]


def choose(
    evidence: Evidence, seed: int, shrinkages: Sequence[float | None] = SHRINKAGES
) -> Chosen:
    """Choose the shrinkage by cross-fitting; among equals the stronger one."""
    fold = folds_of(evidence, seed)
    rows = np.arange(len(evidence))
    best: Float64 | None = None
    losses: dict[float | None, float] = {}
    chosen: float | None = None
    for shrinkage in shrinkages:
        scaled = np.empty_like(evidence.logits)
        for left_out in left_out_in_turn(fold):
            scaling = fit(evidence.where(~left_out), shrinkage)
            scaled[left_out] = scaling(evidence.logits[left_out])
        losses[shrinkage] = float(-log_softmax(scaled)[rows, evidence.truth].mean())
        if best is None or losses[shrinkage] < losses[chosen] - _CLOSE:
            best, chosen = scaled, shrinkage
    assert best is not None, "there is a shrinkage to try"
    return Chosen(fit(evidence, chosen), best, losses)


# -- the posterior -------------------------------------------------------------------------------


def _loss(point: Float64, logits: Float64, truth: Int64, prior: Float64, mean: Float64) -> float:
    """Negative log posterior of (slope, biases)."""
    scaled = log_softmax(point[0] * logits + point[1:])
    likelihood = scaled[np.arange(len(truth)), truth].sum()
    return float(-likelihood + (prior * (point - mean) ** 2).sum() / 2)


def _derivatives(
    point: Float64, logits: Float64, truth: Int64, prior: Float64, mean: Float64
) -> tuple[Float64, Float64]:
    """Gradient [1 + classes] and Hessian of `_loss`."""
    prob = np.exp(log_softmax(point[0] * logits + point[1:]))
    residual = prob.copy()
    residual[np.arange(len(truth)), truth] -= 1
    expected = (prob * logits).sum(axis=1, keepdims=True)  # (cells, 1)
    gradient = np.concatenate([[(residual * logits).sum()], residual.sum(axis=0)])
    hessian = np.empty((len(point), len(point)))
    hessian[0, 0] = (prob * logits**2).sum() - (expected**2).sum()
    hessian[0, 1:] = hessian[1:, 0] = (prob * (logits - expected)).sum(axis=0)
    hessian[1:, 1:] = np.diag(prob.sum(axis=0)) - prob.T @ prob
    return gradient + prior * (point - mean), hessian + np.diag(prior)


def _descend(
    point: Float64, step: Float64, loss: float, posterior: tuple[Float64, Int64, Float64, Float64]
) -> tuple[Float64, float]:
    """Go along a Newton step, halved until the loss falls; the slope stays positive."""
    for halving in range(30):
        there = point - step / 2**halving
        there[0] = max(there[0], _SMALLEST_SLOPE)
        lower = _loss(there, *posterior)
        if lower <= loss:
            return there, lower
    return point, loss
