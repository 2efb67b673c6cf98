"""The network: genes → pathway tokens → transformer → label, with the attention that led to it.

Symbols: x counts, m gene_present, z normalized values as in `converters.celltype.network`, G_p the
genes of pathway p, A_l attention of block l (mean over heads), c the first token.

    t_p = Σ_{g ∈ G_p} z_g W_pg + b_p                 each token sees its own genes alone
    h = transformer([c, t_1 … t_P])                  pre-norm blocks
    e = layer_norm(h_c);  logits = e W + b
    attention = row c of Π_l (A_l + I) / 2, without c itself, over its sum

The last line is attention rollout (Abnar and Zuidema 2020), as TOSICA reads it. TOSICA keeps the
share of c itself out of the sum; here the shares of the pathways sum to 1.
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
from converters.pathway.recipe import PathwaySettings

Arrays = npt.NDArray[np.float32]


class PathwayTokens(nn.Module):
    """Masked linear maps from genes to one token for each pathway."""

    genes: Tensor
    real: Tensor

    def __init__(self, genes: Tensor, real: Tensor, width: int) -> None:
        """Take the gene columns of each pathway [pathways, most genes], and which are real."""
        super().__init__()
        self.register_buffer("genes", genes)
        self.register_buffer("real", real)
        # A token starts with about the same size, however many genes it has.
        scale = real.sum(dim=1).clamp(min=1).rsqrt()[:, None, None]
        self.weight = nn.Parameter(torch.randn(*genes.shape, width) * scale)
        self.bias = nn.Parameter(torch.randn(len(genes), width))

    def forward(self, z: Tensor) -> Tensor:
        """Tokens [cells, pathways, width] of values [cells, genes]."""
        taken = z.index_select(1, self.genes.flatten())
        taken = taken.view(-1, *self.genes.shape) * self.real  # (cells, pathways, most genes)
        tokens = taken.transpose(0, 1) @ self.weight  # (pathways, cells, width)
        return tokens.transpose(0, 1) + self.bias


class Attention(nn.Module):
    """Multi-head attention of some query tokens to all tokens, written out for the export."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """[cells, queries, width], and weights [cells, queries, tokens], mean over heads."""
        q, k, v = (
            self.split(part) for part in (self.query(queries), self.key(tokens), self.value(tokens))
        )  # (cells, heads, tokens, width / heads)
        weights = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, dim=-1)
        mixed = functional.dropout(weights, self.dropout, self.training) @ v
        return self.out(mixed.transpose(1, 2).flatten(2)), weights.mean(dim=1)

    def split(self, x: Tensor) -> Tensor:
        """[cells, tokens, width] → [cells, heads, tokens, width / heads]."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """A pre-norm transformer block, for all tokens or for the first alone."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, *, first_only: bool) -> tuple[Tensor, Tensor]:
        """Tokens after the block, and attention [cells, queries, tokens]."""
        normed = self.norm(x)
        queries = normed[:, :1] if first_only else normed
        kept = x[:, :1] if first_only else x
        mixed, weights = self.attention(queries, normed)
        kept = kept + functional.dropout(mixed, self.dropout, self.training)
        h = self.down(functional.gelu(self.up(self.second_norm(kept))))
        return kept + functional.dropout(h, self.dropout, self.training), weights


class PathwayNetwork(nn.Module):
    """Normalization, tokens, transformer and head."""

    def __init__(
        self, genes: int, classes: int, sets: tuple[Tensor, Tensor], settings: PathwaySettings
    ) -> None:
        super().__init__()
        width = settings.width
        self.normalization = PanelNormalization(genes, target=settings.target, clip=settings.clip)
        self.tokens = PathwayTokens(*sets, width)
        self.first = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(width, settings.heads, settings.dropout) for _ in range(settings.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, counts: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [cells, classes], embedding [cells, width], attention [cells, pathways]."""
        return self.look(self.normalization(counts, present))

    def look(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same from normalized values [cells, genes]."""
        tokens = self.tokens(z)
        x = torch.cat([self.first.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        layers = []
        for number, block in enumerate(self.blocks):
            x, weights = block(x, first_only=number == len(self.blocks) - 1)
            layers.append(weights)
        e = self.norm(x[:, 0])
        return self.head(e), e, rollout(layers)

    def gene_weight(self, counts: Tensor, labels: Tensor) -> Tensor:
        """float32 [genes]: share of what tells the classes apart that each gene brings.

        The squared norm of its weights in all its tokens times the variance of its mean normalized
        value between the classes, as in `converters.celltype`.
        """
        z = self.normalization(counts, torch.ones(counts.shape[1]))
        means = torch.stack([z[labels == label].mean(dim=0) for label in labels.unique()])
        squares = (self.tokens.weight.detach() ** 2).sum(dim=2) * self.tokens.real
        energy = torch.zeros(counts.shape[1]).index_add(
            0, self.tokens.genes.flatten(), squares.flatten()
        )
        energy = energy * means.var(dim=0)
        return energy / energy.sum()


def rollout(layers: list[Tensor]) -> Tensor:
    """[cells, pathways]: how much of the first token comes from each pathway; rows sum to 1.

    Parameters
    ----------
    layers
        Attention of each block, [cells, tokens, tokens]; of the last, [cells, 1, tokens].

    """
    row = layers[-1]  # (cells, 1, tokens)
    itself = functional.one_hot(torch.zeros(1, dtype=torch.int64), row.shape[-1]).to(row)
    row = row + itself
    for weights in reversed(layers[:-1]):
        row = row @ weights + row
    pathways = row[:, 0, 1:]
    return pathways / pathways.sum(dim=1, keepdim=True)


class PathwayModel(nn.Module):
    """The whole graph: counts to the outputs of `converters.celltype.confidence`, and attention."""

    def __init__(self, network: PathwayNetwork, confidence: Confidence) -> None:
        super().__init__()
        self.network = network
        self.confidence = confidence

    def forward(self, counts: Tensor, gene_present: Tensor) -> tuple[Tensor, ...]:
        """Label, probabilities, p-values, sets, typicality, embedding and attention."""
        logits, embedding, attention = self.network(counts, gene_present)
        prob, p, in_set, ood_z, ood_p = self.confidence(logits, embedding, gene_present)
        return logits.argmax(dim=1), prob, p, in_set, ood_z, ood_p, embedding, attention

    @torch.no_grad()
    def labels_of(self, counts: Arrays, present: Arrays) -> dict[str, npt.NDArray[Any]]:
        """`label` [cells], for counts [cells, genes] and the presence of genes [genes]."""
        logits, _, _ = self.network(torch.from_numpy(counts), torch.from_numpy(present))
        return {"label": logits.argmax(dim=1).numpy()}
