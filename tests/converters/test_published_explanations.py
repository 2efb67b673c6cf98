"""Shipped explanations: of the graph beside them, and saying what that graph computes."""

from pathlib import Path

import numpy as np
import pytest

from converters.explaining.__main__ import _sample
from zoo.evaluation.batches import batches
from zoo.evaluation.model_subject import ModelSubject
from zoo.explaining.explainer import gaps, make_explainer
from zoo.parts import ModelParts
from zoo.pull import in_place
from zoo.session import Session

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = sorted(path.parent.name for path in ROOT.glob("cards/*/explain.onnx"))


@pytest.mark.parametrize("name", EXPLAINED or [pytest.param("", marks=pytest.mark.skip("none"))])
def test_a_shipped_explanation_is_that_of_its_graph(name):
    pulled = in_place(ROOT / "cards" / name)
    parts = ModelParts.of(pulled, explain=True)
    told = parts.card.explanation
    assert told is not None
    assert parts.explain is not None
    inputs = next(batches(_sample(pulled, ModelSubject(parts)).placed, cells=1000)).inputs
    made = make_explainer(parts.graph, parts.card, inputs, steps=told.steps)
    label = Session.of_draft(parts.graph).run(inputs, ("label",))["label"]
    asked = {**inputs, "label": label}
    # As the card has it: a share of the log-odds, which are hundreds where a model is very sure.
    due = Session.of_draft(made.draft).run(asked, ("log_odds", "reference_log_odds"))
    moves = np.abs(due["log_odds"] - due["reference_log_odds"]).mean()
    assert gaps(made.draft, parts.graph, inputs).mean() / moves < 0.01
    session = Session.open_explanation(
        parts.explain, card=parts.card, genes=parts.genes, graph=parts.graph, device="cpu"
    )
    shipped, unrounded = (
        one.run(asked, ("attribution",))["attribution"]
        for one in (session, Session.of_draft(made.content))
    )
    moved = unrounded.any(axis=1)
    for one, other in zip(shipped[moved], unrounded[moved], strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.98


@pytest.mark.parametrize("name", EXPLAINED or [pytest.param("", marks=pytest.mark.skip("none"))])
def test_a_shipped_explanation_is_small(name):
    folder = ROOT / "cards" / name
    share = (folder / "explain.onnx").stat().st_size / (folder / "model.onnx").stat().st_size
    assert share < 0.6
