"""The encoder, the decoder that guesses hidden genes, and the head.

Symbols: x counts, m genes that are shown, z normalized values as in `converters.celltype.network`
(a hidden gene is 0 and stays out of the panel sum, like one that a file lacks).

    e = gelu(layer_norm(z W₁)) W₂ + b₂               encoder
    ẑ = gelu(e) W₃ + b₃                              decoder, in pretraining alone
    loss = mean over hidden genes of σ² (ẑ − z)²     z here with all genes shown
    logits = (e − μ) / σ · V + c                     head: logistic regression, few labels

Hiding a gene is the same as not having it, so an encoder that guesses hidden genes has seen files
with few genes beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.celltype.confidence import Confidence
from converters.celltype.network import PanelNormalization
from converters.masked.recipe import MaskedSettings

Arrays = npt.NDArray[np.float32]


class MaskedEncoder(nn.Module):
    """Normalization and encoder: counts to an embedding."""

    def __init__(self, genes: int, settings: MaskedSettings) -> None:
        super().__init__()
        self.dropout = settings.dropout
        self.normalization = PanelNormalization(genes, target=settings.target, clip=settings.clip)
        self.first = nn.Linear(genes, settings.hidden, bias=False)
        self.norm = nn.LayerNorm(settings.hidden)
        self.second = nn.Linear(settings.hidden, settings.embedding)

    def forward(self, counts: Tensor, present: Tensor) -> Tensor:
        """Embedding [cells, dims] of counts [cells, genes] with the presence of genes."""
        h = functional.gelu(self.norm(self.first(self.normalization(counts, present))))
        e: Tensor = self.second(functional.dropout(h, self.dropout, self.training))
        return e


class Head(nn.Module):
    """A logistic regression on the standardised embedding."""

    mean: Tensor
    sd: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, dims: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("sd", torch.ones(dims))
        self.register_buffer("weight", torch.zeros(dims, classes))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, e: Tensor) -> Tensor:
        """Logits [cells, classes]."""
        return (e - self.mean) / self.sd @ self.weight + self.bias


class MaskedModel(nn.Module):
    """The whole graph: counts to every output of `converters.celltype.confidence`."""

    def __init__(self, encoder: MaskedEncoder, head: Head, confidence: Confidence) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.confidence = confidence

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """Label, probabilities, p-values, sets, out-of-distribution scores and embedding."""
        embedding = self.encoder(counts, gene_present)
        logits = self.head(embedding)
        prob, p, in_set, ood_z, ood_p = self.confidence(logits, embedding, gene_present)
        return logits.argmax(dim=1), prob, p, in_set, ood_z, ood_p, embedding

    @torch.no_grad()
    def labels_of(self, counts: Arrays, present: Arrays) -> dict[str, npt.NDArray[Any]]:
        """`label` [cells], for counts [cells, genes] and the presence of genes [genes]."""
        e = self.encoder(torch.from_numpy(counts), torch.from_numpy(present))
        return {"label": self.head(e).argmax(dim=1).numpy()}
