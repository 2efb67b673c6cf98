"""Tables of a card: each cell of the table is the row that it claims to be."""

import pytest

pytest.importorskip("torch")

from converters.building.prose import neighbours
from zoo.card import Row


def row(key, value, *, method="model", role="test", condition="held out", metric="mse"):
    return Row(
        id=f"{key}.{method}.{metric}",
        dataset="tiny",
        role=role,
        condition=condition,
        method=method,
        donor_independent=False,
        study_independent=False,
        gene_coverage=1.0,
        metric=metric,
        value=value,
        n=10,
        interval=None,
    )


def test_neighbouring_settings_stand_beside_the_shipped_model_without_baselines():
    near = {"role": "ablation", "condition": "held out; hidden=8; some entries hidden"}
    table = neighbours(
        [
            row("tiny-test", 1.0),
            row("tiny-test", 9.0, method="gene_mean"),
            row("tiny-test+hidden-8", 2.0, **near),
            row("tiny-test+hidden-8", 9.0, method="gene_mean", **near),
            row("tiny-test+hidden-8", 3.0, metric="ari", role="ablation",
                condition="held out; hidden=8"),
        ]
    )  # fmt: skip
    assert table.splitlines() == [
        "| setting | mse | ari |",
        "| --- | --- | --- |",
        "| as shipped | 1.000 |  |",
        "| hidden=8 | 2.000 | 3.000 |",
    ]
