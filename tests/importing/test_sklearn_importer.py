"""scikit-learn classifiers: the graph gives the probabilities of `predict_proba`."""

from __future__ import annotations

import pickle  # noqa: TID251 -- scikit-learn's own format
import warnings
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from foreign_cells import GENES, Cells, make_cells
from ran import Ran
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from zoo.parity import sample_outputs
from zoo.parts import ModelParts
from zoo.pull import in_place

Zoo = Callable[..., Ran]

CLASSIFIERS = {
    "logistic": lambda: LogisticRegression(max_iter=500),
    "logistic-no-intercept": lambda: LogisticRegression(max_iter=500, fit_intercept=False),
    "sgd": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "huber": lambda: SGDClassifier(loss="modified_huber", random_state=0),
    "relu": lambda: MLPClassifier((8, 5), max_iter=40, random_state=0),
    "tanh": lambda: MLPClassifier((8,), activation="tanh", max_iter=40, random_state=0),
    "sigmoid": lambda: MLPClassifier((8,), activation="logistic", max_iter=40, random_state=0),
}


def fitted(model: object, cells: Cells, x: np.ndarray) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 40 iterations do not converge
        return model.fit(pd.DataFrame(x, columns=list(GENES)), cells.names)


def converted(run_zoo: Zoo, tmp_path: Path, model: object, *options: object) -> ModelParts:
    source = tmp_path / "model.pkl"
    source.write_bytes(pickle.dumps(model))
    ran = run_zoo("convert", "sklearn", source, "-o", tmp_path / "model", *options)
    assert ran.code == 0, ran.err
    return ModelParts.of(in_place(tmp_path / "model"))


def same(parts: ModelParts, model: object, x: Callable[[Cells], np.ndarray], path: Path) -> None:
    fresh = make_cells(60, seed=7, kinds=len(parts.labels.names))
    given = sample_outputs(parts, fresh.write(path))
    expected = model.predict_proba(pd.DataFrame(x(fresh), columns=list(GENES)))
    assert np.abs(given["prob"] - expected).max() < 2e-5
    assert list(model.classes_) == list(parts.labels.names)
    predicted = np.array(parts.labels.names)[given["label"]]
    assert (predicted == model.predict(pd.DataFrame(x(fresh), columns=list(GENES)))).all()


@pytest.mark.parametrize("kinds", [2, 3], ids=["two, plain", "three, scaled"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_are_those_of_scikit_learn(
    run_zoo: Zoo, tmp_path: Path, name: str, kinds: int
) -> None:
    model = CLASSIFIERS[name]()
    if kinds == 3:
        model = make_pipeline(StandardScaler(), model)
    cells = make_cells(kinds=kinds)
    fitted(model, cells, cells.library_log1p)
    parts = converted(run_zoo, tmp_path, model, "--values", "library_log1p")
    same(parts, model, lambda c: c.library_log1p, tmp_path / "cells.h5ad")


def test_one_against_the_rest_of_older_releases(run_zoo: Zoo, tmp_path: Path) -> None:
    """Releases before 1.8 kept `multi_class='ovr'`; today's fits the same one by one."""
    cells = make_cells()
    model = fitted(LogisticRegression(max_iter=500), cells, cells.panel_log1p)
    model.multi_class = "ovr"
    parts = converted(run_zoo, tmp_path, model, "--values", "panel_log1p")
    fresh = make_cells(40, seed=8)
    given = sample_outputs(parts, fresh.write(tmp_path / "cells.h5ad"))
    odds = 1 / (1 + np.exp(-(fresh.panel_log1p @ model.coef_.T + model.intercept_)))
    assert np.abs(given["prob"] - odds / odds.sum(axis=1, keepdims=True)).max() < 1e-5


@pytest.mark.parametrize("values", ["library_log1p", "panel_log1p", "counts"])
def test_values_are_those_that_the_user_says(run_zoo: Zoo, tmp_path: Path, values: str) -> None:
    def x(cells: Cells) -> np.ndarray:
        return cells.counts[:, : len(GENES)] if values == "counts" else getattr(cells, values)

    cells = make_cells()
    model = fitted(LogisticRegression(max_iter=500), cells, x(cells))
    parts = converted(run_zoo, tmp_path, model, "--values", values)
    same(parts, model, x, tmp_path / "cells.h5ad")
    assert parts.card.inputs.total_counts == (values == "library_log1p")
    assert ("log_normalized" in parts.card.inputs.value_kinds) == (values != "counts")


def test_missing_genes_enter_as_the_training_mean(run_zoo: Zoo, tmp_path: Path) -> None:
    cells = make_cells()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    fitted(model, cells, cells.library_log1p)
    parts = converted(run_zoo, tmp_path, model, "--values", "library_log1p")
    fresh = make_cells(40, seed=9)
    given = sample_outputs(parts, fresh.write(tmp_path / "cells.h5ad", without=10))
    rest = fresh.counts[:, 10:]
    x = np.log1p(rest * (1e4 / rest.sum(axis=1, keepdims=True)))[:, :30]
    whole = np.concatenate([np.tile(model[0].mean_[:10], (40, 1)), x], axis=1)
    expected = model.predict_proba(pd.DataFrame(whole, columns=list(GENES)))
    assert np.abs(given["prob"] - expected).max() < 1e-5


def test_joblib_and_names_by_the_user(run_zoo: Zoo, tmp_path: Path) -> None:
    cells = make_cells()
    model = LogisticRegression(max_iter=500).fit(cells.library_log1p, cells.label)
    joblib.dump(model, tmp_path / "model.joblib", compress=3)
    command = ("convert", "sklearn", tmp_path / "model.joblib", "-o", tmp_path / "model",
               "--values", "library_log1p")  # fmt: skip
    ran = run_zoo(*command)
    assert ran.code == 2
    assert "40 genes" in ran.err
    (tmp_path / "genes.txt").write_text("\n".join(GENES))
    (tmp_path / "labels.txt").write_text("bee\ntee\nmono\n")
    named = ("--genes", tmp_path / "genes.txt", "--labels", tmp_path / "labels.txt")
    assert run_zoo(*command, *named).code == 0
    parts = ModelParts.of(in_place(tmp_path / "model"))
    assert parts.labels.names == ("bee", "tee", "mono")
    for name, text, code, told in (
        ("genes.txt", "\n".join(GENES[:39]), 3, "39 genes, but 40 inputs"),
        ("genes.txt", "\n".join([*GENES[:39], "GENE0"]), 3, "names genes more than once: 'GENE0'"),
        ("labels.txt", "bee\ntee", 3, "2 labels, but 3 classes"),
        ("labels.txt", "bee\ntee\nbee", 3, "names labels more than once: 'bee'"),
    ):
        before = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text)
        ran = run_zoo(*command, *named, "--overwrite")
        assert ran.code == code
        assert told in ran.err
        (tmp_path / name).write_text(before)


def test_what_is_refused(run_zoo: Zoo, tmp_path: Path) -> None:
    cells = make_cells(60)
    x = cells.library_log1p
    good = fitted(LogisticRegression(max_iter=500), cells, x)
    celltypist = {"Model": good, "Scaler_": StandardScaler().fit(x), "description": {}}
    nan = fitted(LogisticRegression(max_iter=500), cells, x)
    nan.coef_ = np.where(np.arange(40) == 3, np.nan, nan.coef_)
    unequal = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    fitted(unequal, cells, x)
    unequal[0].mean_ = unequal[0].mean_[:39]
    for model, code, told in (
        (celltypist, 3, "zoo convert celltypist"),
        ([1, 2], 3, "it holds a list"),
        (nan, 3, "3 number(s) of 'LogisticRegression.coef_'"),
        (unequal, 3, "39 inputs of the scaler"),
        (LogisticRegression(), 3, "has no 'LogisticRegression.coef_'"),
        (fitted(SGDClassifier(), cells, x), 3, "loss 'hinge', which gives no probabilities"),
        (fitted(RandomForestClassifier(2), cells, x), 5, "RandomForestClassifier'"),
        (make_pipeline(MinMaxScaler(), good), 5, "MinMaxScaler'"),
        (make_pipeline(good, StandardScaler().fit(x)), 3, "a LogisticRegression before others"),
        (StandardScaler().fit(x), 3, "a StandardScaler"),
    ):
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
        command = ("convert", "sklearn", tmp_path / "model.pkl", "-o", tmp_path / "model")
        ran = run_zoo(*command, "--values", "library_log1p")
        assert ran.code == code, ran.err
        assert told in ran.err
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(good))
    ran = run_zoo("convert", "sklearn", tmp_path / "model.pkl", "-o", tmp_path / "model")
    assert ran.code == 2
    assert "--values, one of: library_log1p" in ran.err
    assert not (tmp_path / "model").exists()
