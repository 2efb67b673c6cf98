"""The two likelihoods of DCA: negative binomial (NB) and zero-inflated negative binomial (ZINB).

Symbols of Eraslan et al. 2019, doi:10.1038/s41467-018-07931-2: x a count, μ the mean at the cell's
own depth, θ the dispersion (variance μ + μ²/θ), π the probability of a dropout.

    NB(x; μ, θ)      = Γ(x + θ) / (Γ(θ) x!) · (θ / (θ + μ))^θ · (μ / (θ + μ))^x
    ZINB(x; π, μ, θ) = π · [x = 0] + (1 − π) · NB(x; μ, θ)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_SMALLEST = 1e-10


def nb_log_likelihood(x: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """log NB [cells, genes]; all arguments are of this shape, or broadcast to it."""
    mean = mean.clamp(min=_SMALLEST)  # a cell without counts has a mean of 0
    both = torch.log(dispersion + mean)
    return (
        torch.lgamma(x + dispersion)
        - torch.lgamma(dispersion)
        - torch.lgamma(x + 1)
        + dispersion * (torch.log(dispersion) - both)
        + x * (torch.log(mean) - both)
    )


def zinb_log_likelihood(
    x: Tensor, mean: Tensor, dispersion: Tensor, dropout_logit: Tensor
) -> Tensor:
    """log ZINB [cells, genes]; π is the sigmoid of the logit, which stays exact near 0 and 1."""
    drawn = functional.logsigmoid(-dropout_logit) + nb_log_likelihood(x, mean, dispersion)
    dropped = functional.logsigmoid(dropout_logit)
    return torch.where(x > 0, drawn, torch.logaddexp(dropped, drawn))


def nb_deviance(x: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """[cells, genes]: twice the log likelihood that a count of its own mean would have more.

    Needs no Γ, which ONNX does not have.
    """
    mean = mean.clamp(min=_SMALLEST)
    own = x * (torch.log(x.clamp(min=_SMALLEST)) - torch.log(mean))
    return 2 * (own - (x + dispersion) * torch.log((x + dispersion) / (mean + dispersion)))
