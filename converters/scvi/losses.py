"""What scVI and scANVI minimise: the negative evidence lower bound, and the classifier's error."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from converters.scvi.likelihood import log_nb, log_zinb
from converters.scvi.network import Decoder, ScanviNetwork


def reconstruction_loss(
    decoder: Decoder, x: Tensor, z: Tensor, batch: Tensor, likelihood: str
) -> Tensor:
    """[cells]: −log p(x | z, b, ℓ) with the observed library ℓ = Σ x."""
    share, dropout = decoder(z, batch)
    mean, theta = x.sum(dim=1, keepdim=True) * share, decoder.log_theta.exp()
    if likelihood == "nb":
        return -log_nb(x, mean, theta).sum(dim=1)
    return -log_zinb(x, mean, theta, dropout).sum(dim=1)


def divergence_from_prior(mean: Tensor, variance: Tensor) -> Tensor:
    """[cells]: KL(N(mean, variance) ‖ N(0, 1))."""
    return 0.5 * (mean.square() + variance - variance.log() - 1).sum(dim=1)


def latent_loss(network: ScanviNetwork, z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """[cells, 2]: scANVI's loss of the latents under every class, weighed by q(y|z).

    The first column is log q(z|x) − log p(z|z₂, y), the second one KL(q(z₂|z, y) ‖ N(0, 1)) +
    KL(q(y|z) ‖ uniform), which is warmed up.
    """
    classes, cells = network.classes, len(z)
    y = torch.eye(classes, device=z.device).repeat_interleave(cells, dim=0)
    zs = z.repeat(classes, 1)  # (classes × cells, latent)
    mean2, variance2 = network.encoder_z2(torch.cat([zs, y], dim=1))
    z2 = drawn(mean2, variance2)
    mean1, variance1 = network.decoder_z(torch.cat([z2, y], dim=1))
    unlike = -Normal(mean1, variance1.sqrt()).log_prob(zs).sum(dim=1)
    second = divergence_from_prior(mean2, variance2)
    log_prob = functional.log_softmax(network.classifier(z), dim=1)  # (cells, classes)
    prob = log_prob.exp()
    seen = Normal(mean, variance.sqrt()).log_prob(z).sum(dim=1)
    first = seen + (unlike.view(classes, cells).T * prob).sum(dim=1)
    from_uniform = kl_divergence(
        torch.distributions.Categorical(logits=log_prob),
        torch.distributions.Categorical(probs=torch.full_like(prob, 1 / classes)),
    )
    others = (second.view(classes, cells).T * prob).sum(dim=1) + from_uniform
    return torch.stack([first, others], dim=1)


def drawn(mean: Tensor, variance: Tensor) -> Tensor:
    """A sample of the normal distribution through which gradients flow."""
    return mean + variance.sqrt() * torch.randn_like(mean)
