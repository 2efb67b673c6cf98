"""Confidence of the supervised head, calibrated across groups (patients, or slides).

Every number comes from spots of groups that the network which judged them had not seen.

    prob         softmax((logits + b) / T)
    s_k          log odds against class k: logsumexp_{j≠k}(v_j) − v_k with v = (logits + b) / T
    conformal_p  (w + Σ_i w_i · 1[s_i ≥ s_k]) / (w + Σ_i w_i) over calibration spots i of class k

With patients as the unit, w_i is 1 / (spots of class k in the patient of i) and w is 1:
hierarchical conformal prediction (Lee, Barber & Willett 2023, arXiv:2306.06342), valid for spots of
a new patient who is exchangeable with the others, whatever goes on within a patient. It cannot fall
below 1 / (patients + 1). Where there are too few patients for the error level that is asked for,
every spot weighs 1 and w is 1: plain conformal prediction within each class, valid for new spots of
these slides and not for new slides. The scores are out of fold, so this is cross-conformal.

    d            distance of h from the nearest class centre, in the training spots' covariance
    ood_z, ood_p from d, by `converters.typicality`

"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.typicality import Typicality

Unit = Literal["group", "spot"]

TABLE = 512
SHRINKAGE = 0.1
OWN_SCORES_FROM = 20
STEPS = 200


@dataclass(frozen=True)
class OutOfFold:
    """What networks said of spots from groups that they had not seen.

    Attributes
    ----------
    logits
        float32 [spots, classes].
    distance
        float32 [spots]: to the nearest class centre of the network that judged the spot.
    label
        int64 [spots]: -1 where a spot has none.
    group
        int64 [spots].

    """

    logits: Tensor
    distance: Tensor
    label: Tensor
    group: Tensor


class Confidence(nn.Module):
    """Temperature, biases, score tables, class geometry and typicality."""

    temperature: Tensor
    bias: Tensor
    table: Tensor
    weight: Tensor
    own: Tensor
    itself: Tensor

    def __init__(
        self, held_out: OutOfFold, geometry: Geometry, *, unit: Unit, alpha: float
    ) -> None:
        super().__init__()
        labelled = held_out.label >= 0
        logits, label = held_out.logits[labelled], held_out.label[labelled]
        group = held_out.group[labelled]
        classes = logits.shape[1]
        temperature, bias = scaling(logits, label, balance(label, group))
        self.alpha, self.geometry = alpha, geometry
        self.typicality = Typicality(held_out.distance)
        self.register_buffer("temperature", temperature)
        self.register_buffer("bias", bias)
        self.register_buffer("itself", torch.eye(classes) * 1e9)
        scores = self.scores((logits + bias) / temperature)
        tables = [class_table(scores, label, group, k, unit) for k in range(classes)]
        for place, name in enumerate(("table", "weight", "own")):
            self.register_buffer(name, torch.stack([entry[place] for entry in tables]))

    def scores(self, scaled: Tensor) -> Tensor:
        """[spots, classes]: log odds against each class; large = unlike the class."""
        others = scaled[:, None, :] - self.itself  # (spots, class, other); itself at -1e9
        return torch.logsumexp(others, dim=2) - scaled

    def forward(self, logits: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """`prob`, `conformal_p`, `in_set`, `ood_z`, `ood_p` of logits and hidden values."""
        scaled = (logits + self.bias) / self.temperature
        score = self.scores(scaled)
        at_least = (self.table >= score[:, :, None]).float()  # (spots, classes, table)
        p = (at_least * self.weight).sum(dim=2) + self.own
        ood_z, ood_p = self.typicality(self.geometry(h))
        return torch.softmax(scaled, dim=1), p, p > self.alpha, ood_z, ood_p


class Geometry(nn.Module):
    """Distance of hidden values from the nearest class centre (Lee et al. 2018)."""

    centres: Tensor
    whitening: Tensor

    def __init__(self, h: Tensor, label: Tensor, classes: int) -> None:
        """Take centres and covariance from training spots with a label."""
        super().__init__()
        h, label = h[label >= 0], label[label >= 0]
        one_hot = functional.one_hot(label, classes).float()
        sizes = one_hot.sum(dim=0).clamp(min=1)
        centres = (one_hot.T @ h) / sizes[:, None]
        residual = h - centres[label]
        covariance = residual.T @ residual / max(1, len(h) - classes)
        # Shrunk towards its mean variance (Ledoit and Wolf's target).
        mean = covariance.trace() / len(covariance) + 1e-6
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * mean * torch.eye(len(covariance))
        whitening = torch.linalg.inv(torch.linalg.cholesky(shrunk)).T
        self.register_buffer("whitening", whitening)
        self.register_buffer("centres", centres @ whitening)

    def forward(self, h: Tensor) -> Tensor:
        """[spots] of [spots, hidden]."""
        offset = (h @ self.whitening)[:, None, :] - self.centres  # (spots, classes, hidden)
        return torch.sqrt((offset**2).sum(dim=2).amin(dim=1) + 1e-12)


def balance(label: Tensor, group: Tensor) -> Tensor:
    """float32 [spots]: every group weighs the same, and so does every class within its group.

    A spot without a label (-1) weighs nothing. The sum is the number of groups with labels.
    """
    weight = torch.zeros(len(label))
    for one in group[label >= 0].unique():
        classes = label[(group == one) & (label >= 0)].unique()
        for k in classes:
            members = (group == one) & (label == k)
            weight[members] = 1 / (len(classes) * int(members.sum()))
    return weight


def scaling(logits: Tensor, label: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Temperature [1] and biases [classes] with the smallest weighted cross entropy."""
    log_t = torch.zeros(1, requires_grad=True)
    bias = torch.zeros(logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = functional.cross_entropy(
            (logits + bias) / log_t.exp(), label, reduction="none"
        )  # (spots)
        # A little pull to (1, 0): a class that is told apart without error would let T go to 0.
        total = (losses * weight).sum() / weight.sum() + 1e-3 * (log_t**2 + (bias**2).mean()).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)
    bias = bias.detach()
    return log_t.detach().exp(), bias - bias.mean()


def class_table(
    scores: Tensor, label: Tensor, group: Tensor, k: int, unit: Unit
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores [TABLE] of a class's own spots, their shares [TABLE], and the new unit's share.

    Shares and the new unit's sum to 1. A class with fewer than `OWN_SCORES_FROM` spots takes the
    scores of all classes' spots. Longer lists are cut to points evenly spaced by weight.
    """
    own = scores.gather(1, label[:, None]).squeeze(1)
    members = label == k
    if int(members.sum()) < OWN_SCORES_FROM:
        members = torch.ones_like(members)
    value, owner = own[members], group[members]
    weight = torch.ones(len(value))
    if unit == "group":
        for one in owner.unique():
            weight[owner == one] = 1 / int((owner == one).sum())
    order = value.argsort()
    value, weight = value[order], weight[order]
    total = weight.sum()
    if len(value) > TABLE:
        middles = (torch.arange(TABLE) + 0.5) / TABLE * total
        place = torch.searchsorted(weight.cumsum(0), middles).clamp(max=len(value) - 1)
        value, weight = value[place], torch.full((TABLE,), float(total / TABLE))
    table = torch.full((TABLE,), -torch.inf)
    table[: len(value)] = value
    shares = torch.zeros(TABLE)
    shares[: len(value)] = weight / (total + 1)
    return table, shares, 1 / (total + 1)


def unit_for(label: Tensor, group: Tensor, alpha: float) -> Unit:
    """Groups, if each class is in so many that a p-value can fall below alpha; else spots."""
    for k in label[label >= 0].unique():
        if 1 / (len(group[label == k].unique()) + 1) >= alpha:
            return "spot"
    return "group"
