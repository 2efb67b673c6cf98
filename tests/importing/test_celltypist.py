"""CellTypist models: the same labels and probabilities as the package, whatever genes are there."""

from __future__ import annotations

import os
import pickle  # noqa: TID251 -- CellTypist's own format
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from foreign_cells import GENES, Cells, make_cells
from ran import Ran
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.preprocessing import StandardScaler

from zoo.card_file import ModelCard
from zoo.parity import sample_outputs
from zoo.parts import ModelParts
from zoo.pull import in_place

Zoo = Callable[..., Ran]


def trained(cells: Cells, kind: str = "lbfgs") -> dict[str, object]:
    """What `celltypist.train` writes: scaler, classifier with `features`, description."""
    scaler = StandardScaler().fit(cells.library_log1p)
    z = np.minimum(scaler.transform(cells.library_log1p), 10)
    model = (
        SGDClassifier(loss="log_loss", random_state=0)
        if kind == "sgd"
        else LogisticRegression(solver=kind, max_iter=1000)
    )
    model.fit(z, cells.names)
    model.features = np.array(GENES)
    description = {"date": "2025-01-01", "details": "made-up cells", "url": "", "source": "a test"}
    return {"Model": model, "Scaler_": scaler, "description": description}


def answered(model: dict[str, object], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities as `celltypist/classifier.py` computes them."""
    cells = ad.read_h5ad(path)
    x = np.log1p(cells.X / cells.X.sum(axis=1, keepdims=True) * 1e4)
    classifier, scaler = model["Model"], model["Scaler_"]
    shared = [gene for gene in classifier.features if gene in cells.var_names]
    k = [list(classifier.features).index(gene) for gene in shared]
    x = x[:, [list(cells.var_names).index(gene) for gene in shared]]
    z = (x - scaler.mean_[k]) / scaler.scale_[k]
    z[z > 10] = 10
    scores = z @ classifier.coef_[:, k].T + classifier.intercept_
    if scores.shape[1] == 1:
        scores = np.concatenate([-scores, scores], axis=1)
    return classifier.classes_[scores.argmax(axis=1)], 1 / (1 + np.exp(-scores))


def converted(run_zoo: Zoo, tmp_path: Path, content: object, *options: object) -> ModelParts:
    source = tmp_path / "model.pkl"
    source.write_bytes(pickle.dumps(content))
    ran = run_zoo("convert", "celltypist", source, "-o", tmp_path / "model", *options)
    assert ran.code == 0, ran.err
    return ModelParts.of(in_place(tmp_path / "model"))


@pytest.mark.parametrize("kind", ["lbfgs", "sgd"])
@pytest.mark.parametrize("kinds", [2, 3])
def test_answers_are_those_of_celltypist(
    run_zoo: Zoo, tmp_path: Path, kind: str, kinds: int
) -> None:
    model = trained(make_cells(kinds=kinds), kind)
    parts = converted(run_zoo, tmp_path, model)
    assert parts.card.prob_kind == "independent"
    assert parts.card.inputs.total_counts
    for without in (0, 12, 19):
        path = make_cells(60, seed=1, kinds=kinds).write(tmp_path / "cells.h5ad", without=without)
        given = sample_outputs(parts, path)
        label, prob = answered(model, path)
        assert np.abs(given["prob"] - prob).max() < 1e-5
        assert (np.array(parts.labels.names)[given["label"]] == label).all()


def test_a_cells_scale_does_not_matter(run_zoo: Zoo, tmp_path: Path) -> None:
    """Why `log_normalized` is accepted."""
    import onnxruntime

    parts = converted(run_zoo, tmp_path, trained(make_cells()))
    assert parts.card.inputs.value_kinds == ["counts", "log_normalized"]
    session = onnxruntime.InferenceSession(parts.graph, providers=["CPUExecutionProvider"])
    counts = make_cells(30, seed=2).counts.astype(np.float32)
    total = counts.sum(axis=1, keepdims=True)
    feed = {"counts": counts[:, : len(GENES)], "gene_present": np.ones(len(GENES), np.float32)}

    def prob(factor: float) -> np.ndarray:
        scaled = {**feed, "counts": feed["counts"] * np.float32(factor)}
        return session.run(["prob"], {**scaled, "total_counts": total * np.float32(factor)})[0]

    for factor in (0.3, 7):
        assert np.abs(prob(factor) - prob(1)).max() < 1e-5


def test_the_card_says_where_it_is_from(run_zoo: Zoo, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        """
        name = "made-up-blood"
        version = "1.2.0"
        summary = "Three made-up types"
        [imported]
        source = "a package 1.0, model.pkl"
        license = "CC-BY-4.0"
        attribution = "Its makers"
        [inputs]
        organism = "Homo sapiens"
        tissues = ["blood"]
        [labels]
        "T cell" = "CL:0000084"
        """,
        encoding="utf-8",
    )
    parts = converted(run_zoo, tmp_path, trained(make_cells()), "--config", plan)
    card = ModelCard.read(tmp_path / "model" / "README.md")
    block = card.block
    assert block.reference == "made-up-blood@1.2.0"
    assert block.imported.format == "celltypist"
    assert block.imported.license == block.license == "CC-BY-4.0"
    assert "made-up cells" in block.imported.known_training
    assert block.training.cells is None
    assert block.calibration is None
    assert any("no cells were at hand" in line for line in block.scope.out_of_scope)
    assert parts.labels.labels[1].id == "CL:0000084"
    assert "Not calibrated" in card.prose
    assert run_zoo("test", tmp_path / "model").code == 0


def test_labelled_cells_give_p_values_and_scope(run_zoo: Zoo, tmp_path: Path) -> None:
    labelled = make_cells(300, seed=3).write(tmp_path / "labelled.h5ad")
    options = ("--calibrate", labelled, "--label", "cell_type", "--sample", labelled)
    model = trained(make_cells())
    parts = converted(run_zoo, tmp_path, model, *options)
    assert {"conformal_p", "in_set", "ood_z", "ood_p"} <= set(parts.card.output_names)
    assert parts.card.calibration.cells == 300
    assert {row.metric for row in parts.card.evaluation} >= {"accuracy", "coverage", "ece"}
    (source,) = parts.card.data
    assert (source.role, source.license) == ("calibration", "CC0-1.0")
    fresh = make_cells(300, seed=4)
    given = sample_outputs(parts, fresh.write(tmp_path / "fresh.h5ad"))
    _, prob = answered(model, tmp_path / "fresh.h5ad")
    assert np.abs(given["prob"] - prob).max() < 1e-5, "probabilities stay the source's"
    order = [parts.labels.names.index(name) for name in fresh.names]
    assert given["in_set"][np.arange(300), order].mean() > 0.85
    assert 0.01 < (given["ood_p"] < 0.05).mean() < 0.12
    rng = np.random.default_rng(0)
    strange = Cells(rng.poisson(rng.gamma(0.1, 60.0, size=(100, 50))), np.zeros(100, dtype=int))
    odd = sample_outputs(parts, strange.write(tmp_path / "strange.h5ad"))
    assert (odd["ood_p"] < 0.05).mean() > 0.7
    assert run_zoo("test", tmp_path / "model").code == 0
    ran = run_zoo("run", tmp_path / "model", tmp_path / "fresh.h5ad", "-o", tmp_path / "out.h5ad")
    assert ran.code == 0, ran.err
    assert "call" in ad.read_h5ad(tmp_path / "out.h5ad").obs


def test_a_plan_evaluates_and_claims(run_zoo: Zoo, tmp_path: Path) -> None:
    make_cells(150, seed=3).write(tmp_path / "labelled.h5ad")
    make_cells(120, seed=4).write(tmp_path / "others.h5ad")
    (tmp_path / "plan.toml").write_text(
        """
        [calibration]
        file = "labelled.h5ad"
        dataset = "Labelled cells"
        label = "cell_type"
        [scope]
        works_well = ["other cells: {{others.model.accuracy}}"]
        [[evaluation]]
        key = "others"
        file = "others.h5ad"
        dataset = "Other cells"
        label = "cell_type"
        """,
        encoding="utf-8",
    )
    options = ("--config", tmp_path / "plan.toml")
    card = converted(run_zoo, tmp_path, trained(make_cells()), *options).card
    assert {(s.name, s.role) for s in card.data} == {
        ("Labelled cells", "calibration"),
        ("Other cells", "evaluation"),
    }
    assert {row.dataset for row in card.evaluation} == {"Labelled cells", "Other cells"}
    assert card.headline.row == "others.model.accuracy"
    assert "n = 120" in card.scope.works_well[0].statement


def test_a_reference_of_the_package_is_kept_or_refused(run_zoo: Zoo, tmp_path: Path) -> None:
    import h5py

    model = trained(make_cells())
    sample = make_cells(50, seed=5).write(tmp_path / "sample.h5ad")
    label, prob = answered(model, sample)
    reference = tmp_path / "reference.h5"

    def write(prob: np.ndarray) -> None:
        with h5py.File(reference, "w") as file:
            file.attrs["made_with"] = "celltypist 1.7.1"
            file["classes"] = model["Model"].classes_[::-1].tolist()
            file["prob"], file["label"] = prob[:, ::-1], label.tolist()

    write(prob)
    options = ("--sample", sample, "--reference", reference)
    parts = converted(run_zoo, tmp_path, model, *options)
    assert parts.card.imported.reference == "celltypist 1.7.1"
    assert parts.card.tolerances["prob"].measured < 1e-5
    write(prob * 0.9)
    ran = run_zoo("convert", "celltypist", tmp_path / "model.pkl", "-o", tmp_path / "no", *options)
    assert ran.code == 1
    assert "does not answer as 'celltypist 1.7.1' did" in ran.err
    assert not (tmp_path / "no").exists()
    write(prob[:20])
    ran = run_zoo("convert", "celltypist", tmp_path / "model.pkl", "-o", tmp_path / "no", *options)
    assert ran.code == 3
    assert "20 rows for 50 cells" in ran.err


def _with(part: str, **changes: object) -> Callable[[dict], None]:
    return lambda model: vars(model[part]).update(changes)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda m: m.pop("Scaler_"), "has no 'Scaler_'"),
        (lambda m: m.pop("Model"), "has no 'Model'"),
        (lambda m: m.update(Model=m["Scaler_"]), "a StandardScaler as its 'Model'"),
        (lambda m: delattr(m["Model"], "coef_"), "has no 'LogisticRegression.coef_'"),
        (lambda m: delattr(m["Model"], "classes_"), "has no 'LogisticRegression.classes_'"),
        (_with("Scaler_", scale_=np.ones(39)), "40 columns of coef_, but 39 scales"),
        (_with("Scaler_", scale_=np.zeros(40)), "a scale is 0"),
        (_with("Model", features=np.array(GENES[:39])), "39 genes, but 40 columns of coef_"),
        (_with("Model", features=np.array([*GENES[:39], "GENE0"])), "names genes more than once"),
        (_with("Model", classes_=np.array(["A", "B"])), "2 labels, but 3 rows of coef_"),
        (_with("Model", classes_=np.array(["A", "B", "A"])), "names labels more than once"),
        (_with("Model", coef_=np.full((3, 40), np.nan)), "120 number(s) of"),
        (_with("Model", coef_="none"), "no array of numbers"),
        (_with("Model", intercept_=np.zeros(2)), "3 rows of coef_, but 2 intercepts"),
    ],
)  # fmt: skip
def test_what_is_refused(
    run_zoo: Zoo, tmp_path: Path, broken: Callable[[dict], None], told: str
) -> None:
    model = trained(make_cells(60))
    broken(model)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    ran = run_zoo("convert", "celltypist", tmp_path / "model.pkl", "-o", tmp_path / "model")
    assert ran.code == 3
    assert told in ran.err
    assert not (tmp_path / "model").exists()


def test_code_and_other_formats_are_refused(run_zoo: Zoo, tmp_path: Path) -> None:
    path, mark = tmp_path / "model.pkl", tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {mark}",)

    path.write_bytes(pickle.dumps({**trained(make_cells(60)), "description": Evil()}))
    ran = run_zoo("convert", "celltypist", path, "-o", tmp_path / "model")
    assert (ran.code, mark.exists()) == (5, False)
    assert "names 'posix.system'" in ran.err
    path.write_bytes(pickle.dumps(trained(make_cells(60))["Model"]))
    ran = run_zoo("convert", "celltypist", path, "-o", tmp_path / "model")
    assert "zoo convert sklearn" in ran.err
    path.write_bytes(path.read_bytes()[:500])
    ran = run_zoo("convert", "celltypist", path, "-o", tmp_path / "model")
    assert (ran.code, "damaged" in ran.err) == (3, True)


def test_what_is_asked_for_wrongly(run_zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(trained(make_cells(60))))
    source = tmp_path / "model.pkl"
    for options, code, told in (
        (("celltipist", source), 2, "No importer is called 'celltipist'"),
        (("celltypist",), 2, "Missing SOURCE"),
        (("celltypist", tmp_path / "no.pkl"), 3, "no.pkl"),
        (("celltypist", source, "--set", "x=1"), 2, "'x'"),
        (("celltypist", source, "--calibrate", source), 2, "--calibrate needs --label"),
        (("celltypist", source, "--reference", source), 2, "--reference holds answers"),
        (("celltypist", source, "--version", "one"), 2, "no name or version"),
        (("celltypist", source, "--labels", source), 3, "no UTF-8"),
    ):
        ran = run_zoo("convert", *options, "-o", tmp_path / "model")
        assert ran.code == code, ran.err
        assert told in ran.err
    listed = run_zoo("convert", "--list", "--json")
    assert {"celltypist", "onnx", "sklearn", "torch"} <= {one["name"] for one in listed.json}
