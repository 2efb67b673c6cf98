"""How typical a cell is of the training cells: z and p of a distance, against cells held out.

For encoders: the reconstruction error, or the distance to the nearest reference cell, becomes
`ood_z` (of its logarithm) and `ood_p`, as a classifier has them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

TABLE = 1024


class Typicality(nn.Module):
    """Table of held-out cells' distances.

    ood_z = (log d − mean) / sd;   ood_p = (1 + #{held-out cells with a distance ≥ d}) / (n + 1)

    """

    table: Tensor
    mean: Tensor
    sd: Tensor

    def __init__(self, held_out: Tensor | None = None) -> None:
        """Take the distances [cells] of held-out cells, at most `TABLE` evenly spaced ones."""
        super().__init__()
        values = torch.ones(2) if held_out is None else held_out.detach().float().flatten()
        logs = torch.log(values.clamp(min=1e-12)).sort().values
        kept = logs
        if len(logs) > TABLE:
            kept = logs[((torch.arange(TABLE) + 0.5) * len(logs) / TABLE).long()]
        self.register_buffer("table", kept)
        self.register_buffer("mean", logs.mean())
        self.register_buffer("sd", logs.std().clamp(min=1e-6))

    def forward(self, distance: Tensor) -> tuple[Tensor, Tensor]:
        """`ood_z` and `ood_p` [cells] of distances [cells]."""
        logs = torch.log(distance.clamp(min=1e-12))
        # A cell that is itself in the table must not hang on the last bit of its distance.
        above = (self.table >= logs[:, None] - 1e-5).float().sum(dim=1)
        return (logs - self.mean) / self.sd, (above + 1) / (len(self.table) + 1)
