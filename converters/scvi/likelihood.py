"""Likelihoods of counts: negative binomial, and the same with more zeros than it explains.

Symbols as in Lopez et al. 2018: x counts, μ mean, θ inverse dispersion (variance μ + μ²/θ), π
logit of the share of zeros that come from dropout.

    NB(x)   = Γ(x+θ) / (Γ(θ) x!) · (θ/(θ+μ))^θ · (μ/(θ+μ))^x
    ZINB(x) = σ(π) [x = 0] + (1 − σ(π)) NB(x)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

_SMALLEST = 1e-8  # keeps logarithms of a mean of 0 finite, as the reference implementation does


def log_nb(x: Tensor, mean: Tensor, theta: Tensor) -> Tensor:
    """Log probability of counts [cells, genes] with means of this shape and theta [genes].

    All but the middle factor is 1 where x is 0, as it mostly is: the rest is computed elsewhere.
    """
    log_sum = torch.log(theta + mean + _SMALLEST)
    none = theta * (torch.log(theta + _SMALLEST) - log_sum)
    seen = x > 0
    k, r = x[seen], theta.expand_as(x)[seen]
    some = k * (torch.log(mean[seen] + _SMALLEST) - log_sum[seen])
    ways = torch.lgamma(k + r) - torch.lgamma(r) - torch.lgamma(k + 1)
    return none + torch.zeros_like(x).masked_scatter(seen, some + ways)


def log_zinb(x: Tensor, mean: Tensor, theta: Tensor, dropout: Tensor) -> Tensor:
    """The same where a share sigmoid(dropout) [cells, genes] of the counts was lost to zero.

    With log(1 − σ(π)) = −softplus(π) and log σ(π) = π − softplus(π), a zero has the log probability
    π + softplus(log NB(0) − π) − softplus(π).
    """
    nb = log_nb(x, mean, theta)
    zero = dropout + softplus(nb - dropout)
    return torch.where(x > 0, nb, zero) - softplus(dropout)
