"""`zoo calibrate`: a new version of a classifier, fitted to a user's own labelled cells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import onnx
import pytest
from labelled_file import LABELS, make_labelled, write_labelled
from onnx import TensorProto, helper
from ran import Ran
from spatial_file import make_slides
from tiny_model import labels_table, write_manifest, write_tiny_model
from tiny_spatial_model import spatial_block, write_tiny_spatial_model

import zoo
from zoo.calibrating import calibration
from zoo.calibrating.labelled import Columns
from zoo.card import CellZooBlock
from zoo.card_file import ModelCard
from zoo.digest import sha256_of_file
from zoo.errors import ParityFailed
from zoo.manifest import Manifest
from zoo.pull import in_place

Zoo = Callable[..., Ran]


@pytest.fixture(scope="session")
def sampled_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a sample and its answers, not to be changed."""
    folder = write_tiny_model(tmp_path_factory.mktemp("sampled") / "tiny")
    return with_sample(folder, make_labelled(60, seed=9))


def with_sample(folder: Path, adata: ad.AnnData) -> Path:
    adata.write_h5ad(folder / "sample.h5ad")
    outputs = calibration.folder.sample_outputs(
        calibration.ModelParts.of(in_place(folder)), folder / "sample.h5ad"
    )
    with h5py.File(folder / "expected.h5", "w") as file:
        for name, values in outputs.items():
            file[name] = values
    write_manifest(folder)
    return folder


@pytest.fixture
def tiny(sampled_tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sampled_tiny, tmp_path / "tiny"))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return write_labelled(tmp_path / "my.h5ad", 150)


def block_at(folder: Path) -> CellZooBlock:
    return Manifest.parse((folder / "manifest.json").read_bytes(), str(folder)).card


def rows_of(ran: Ran) -> dict[tuple[str, str], dict]:
    found: dict[tuple[str, str], dict] = {}
    for row in ran.json["rows"]:
        found.setdefault((row["method"], row["metric"]), row)
    return found


# -- what it brings ------------------------------------------------------------------------------


def test_coverage_and_accuracy_return_under_a_shift(
    tiny: Path, tmp_path: Path, run_zoo: Zoo
) -> None:
    labelled, out = write_labelled(tmp_path / "my.h5ad", 150), tmp_path / "mine"
    told = run_zoo("calibrate", tiny, labelled, "--label", "cell_type", "-o", out, "--json")
    assert told.code == 0, told.out
    fresh = make_labelled(3000, seed=77)
    truth = fresh.obs["cell_type"].map(list(LABELS).index).to_numpy(int)
    found = {}
    for name, folder in (("before", tiny), ("after", out)):
        answers = zoo.load(str(folder)).predict(fresh, outputs=["prob", "in_set"])
        sets = answers.obsm["in_set"]
        right = answers.obsm["prob"].argmax(axis=1) == truth
        found[name] = (right.mean(), sets[np.arange(3000), truth].mean(), sets.sum(axis=1).mean())
    assert found["before"][1] < 0.8
    assert 0.87 < found["after"][1] < 0.97
    assert found["after"][0] > found["before"][0] + 0.1
    assert found["after"][2] < 2

    # What the card says of cells left out is what new cells show.
    rows = rows_of(told)
    accuracy, coverage = rows["model", "accuracy"], rows["model", "coverage"]
    assert accuracy["interval"][0] < found["after"][0] < accuracy["interval"][1]
    assert coverage["interval"][0] < found["after"][1] < coverage["interval"][1]
    before = rows["version 1.0.0", "coverage"]
    assert before["value"] == pytest.approx(found["before"][1], abs=0.12), "150 cells"
    assert {"split_conformal", "split_conformal_by_class"} <= {method for method, _ in rows}
    assert all(row["n"] == 150 and row["interval"] for row in rows.values() if ":" not in
               row["metric"])  # fmt: skip
    assert coverage["seeds"] == [0, 1, 2]
    assert coverage["spread"] is not None


def test_a_fit_to_labels_at_random_promises_nothing(tiny: Path, tmp_path: Path) -> None:
    """Labels that have nothing to do with the cells: measured on cells left out, accuracy shows."""
    adata = make_labelled(120, seed=3)
    adata.obs["cell_type"] = np.random.default_rng(0).permutation(adata.obs["cell_type"])
    adata.write_h5ad(tmp_path / "random.h5ad")
    report = calibration.calibrate(
        in_place(tiny),
        str(tmp_path / "random.h5ad"),
        tmp_path / "mine",
        calibration.CalibrationOptions(columns=Columns(label="cell_type", mapping={})),
    )
    rows = {(row.method, row.metric): row for row in report.rows}
    assert rows["model", "accuracy"].value < 0.5
    assert rows["model", "coverage"].value > 0.8, "sets grow instead"
    assert rows["model", "set_size"].value > 2


# -- the folder ----------------------------------------------------------------------------------


def test_the_new_version_is_a_complete_model(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo
) -> None:
    out = tmp_path / "mine"
    told = run_zoo(
        "calibrate", tiny, labelled, "--label", "cell_type", "--group", "donor", "-o", out
    )
    assert told.code == 0, told.err
    assert "tiny@1.1.0 on 150 labelled cells" in told.out
    assert "version 1.0.0" in told.out
    assert f"Wrote {out}" in told.out
    tested = run_zoo("test", out)
    assert tested.code == 0, tested.err
    informed = run_zoo("info", out)
    assert "calibrated on 150 labelled cells of my.h5ad" in informed.out
    assert "alpha 0.1" in informed.out
    result = tmp_path / "result.h5ad"
    assert run_zoo("run", out, labelled, "-o", result).code == 0
    assert ad.read_h5ad(result).uns["cellzoo"]["version"] == "1.1.0"
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "expected.h5", "genes.tsv", "labels.tsv", "manifest.json",
        "measurements.json", "model.onnx", "sample.h5ad",
    ]  # fmt: skip
    assert not list(tmp_path.glob(".*")), "no staging folder stays"
    with h5py.File(out / "expected.h5") as file:
        assert file.attrs["made_with"] == "cellzoo calibrate tiny@1.1.0"
    assert (out / "sample.h5ad").read_bytes() == (tiny / "sample.h5ad").read_bytes()


def test_the_card_says_what_changed(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo
) -> None:
    out = tmp_path / "mine"
    run_zoo("calibrate", tiny, labelled, "--label", "cell_type", "--group", "donor", "-o", out)
    card = ModelCard.read(out / "README.md")
    before, block = block_at(tiny), card.block
    assert (block.name, block.version) == ("tiny", "1.1.0")
    assert block.inputs == before.inputs
    assert block.training == before.training
    (source,) = [source for source in block.data if source.role == "calibration"]
    assert source.sha256 == sha256_of_file(labelled)
    assert (source.name, source.cells, source.license) == ("my.h5ad", 150, "CC0-1.0")
    assert block.calibration is not None
    assert (block.calibration.cells, block.calibration.alpha) == (150, 0.1)
    assert "4 groups of obs['donor']" in block.calibration.data
    assert block.changelog[0].version == "1.1.0"
    assert block.changelog[1:] == before.changelog
    added = [row for row in block.evaluation if row.id.startswith("calibration-1-1-0")]
    assert {row.metric for row in added} >= {"accuracy", "coverage", "set_size", "ece"}
    assert len([row for row in added if ":" in row.id and row.metric == "coverage"]) == 4
    former = [row for row in block.evaluation if row not in added]
    assert {row.id for row in former} == {"test.version-1-0-0", "test.majority"}
    assert {row.method for row in former} == {"version 1.0.0", "majority"}, "old numbers say so"
    assert "(version 1.0.0)" in block.scope.works_well[-1].statement
    assert block.scope.works_well[-1].rows == ["test.version-1-0-0"]
    assert card.prose.startswith("> **tiny@1.1.0 is tiny@1.0.0, calibrated.**")
    assert "A model for tests." in card.prose
    own = [path for path in out.iterdir() if path.name != "sample.h5ad"]
    assert not [path for path in own if b"cell-12" in path.read_bytes()], "no cell of the user"


def test_the_embedding_and_the_scope_stay_where_there_are_few_cells(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo
) -> None:
    out = tmp_path / "mine"
    run_zoo("calibrate", tiny, labelled, "--label", "cell_type", "-o", out)
    fresh = make_labelled(50, seed=5)
    before, after = (zoo.load(str(folder)).predict(fresh) for folder in (tiny, out))
    for name in ("X_embedding", "ood_z", "ood_p"):
        assert np.array_equal(before[name], after[name])


def test_the_scope_is_fitted_to_many_cells(tiny: Path, tmp_path: Path, run_zoo: Zoo) -> None:
    adata = make_labelled(500, strangers=30)
    adata.X[30:] *= 150  # cells so deep that the tiny model finds all of them unusual
    adata.X[:30] *= 3000
    adata.write_h5ad(tmp_path / "deep.h5ad")
    out = tmp_path / "mine"
    told = run_zoo(
        "calibrate", tiny, tmp_path / "deep.h5ad", "--label", "cell_type", "-o", out, "--json"
    )
    rows = {(row["method"], row["id"].split(".")[0], row["metric"]): row["value"]
            for row in told.json["rows"]}  # fmt: skip
    key, metric = "calibration-1-1-0", "ood_p_below_0.05"
    assert rows["version 1.0.0", key, metric] > 0.5
    assert 0.01 < rows["model", key, metric] < 0.1
    assert rows["model", f"{key}:unknown-labels", metric] > 0.9, "strangers are still found"
    assert told.json["left_out"]["unknown_label"] == {"mast cell": 30}
    assert run_zoo("test", out).code == 0
    assert "recalibrated on them too" in block_at(out).calibration.method


def test_a_calibrated_version_can_be_calibrated_again(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run_zoo("calibrate", tiny, labelled, "--label", "cell_type", "-o", first)
    other = write_labelled(tmp_path / "other.h5ad", 100, seed=4)
    words = ("--label", "cell_type", "--version", "2.0.0", "--alpha", "0.2")
    told = run_zoo("calibrate", first, other, *words, "-o", second)
    assert told.code == 0, told.err
    assert run_zoo("test", second).code == 0
    block = block_at(second)
    assert [change.version for change in block.changelog] == ["2.0.0", "1.1.0", "1.0.0"]
    assert block.summary.endswith("; calibrated on 100 labelled cells of other.h5ad")
    assert block.summary.count("calibrated on") == 1
    assert block.calibration is not None
    assert block.calibration.alpha == 0.2
    methods = {row.method for row in block.evaluation}
    assert {"model", "version 1.0.0", "version 1.1.0"} <= methods
    again = run_zoo("calibrate", first, labelled, "--label", "cell_type", "-o", tmp_path / "third")
    assert again.code == 3
    assert "was made with" in again.err


def test_of_very_many_cells_a_sample_is_used(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "MOST_CELLS", 100)
    told = run_zoo("calibrate", tiny, labelled, "--label", "cell_type", "-o", tmp_path / "mine")
    assert "on 100 labelled cells" in told.out
    assert "Used a random 100 of the labelled cells" in told.err
    assert block_at(tmp_path / "mine").calibration.cells == 100


def test_the_same_seed_gives_the_same_graph(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo
) -> None:
    graphs = []
    for number, seed in enumerate((1, 1)):
        out = tmp_path / str(number)
        run_zoo("calibrate", tiny, labelled, "--label", "cell_type", "-o", out, "--seed", str(seed))
        graphs.append((out / "model.onnx").read_bytes())
    assert graphs[0] == graphs[1]


# -- labels and groups ---------------------------------------------------------------------------


def test_labels_are_mapped_or_found_by_their_ids(tiny: Path, tmp_path: Path, run_zoo: Zoo) -> None:
    adata = make_labelled(120)
    names = {"T cell": "T lymphocytes", "B cell": "CL:0000236", "monocyte": "monocyte"}
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).map(names)
    adata.obs.loc[adata.obs_names[:10], "cell_type"] = np.nan
    adata.write_h5ad(tmp_path / "my.h5ad")
    told = run_zoo(
        "calibrate", tiny, tmp_path / "my.h5ad", "--label", "cell_type", "-o", tmp_path / "mine",
        "--map", "T lymphocytes=T cell", "--json",
    )  # fmt: skip
    assert told.json["cells"] == 110
    assert told.json["left_out"] == {
        "unknown_label": {}, "unlabelled": 10, "too_few_counts": 0, "more_than_needed": 0,
    }  # fmt: skip
    assert min(told.json["labels"].values()) > 20
    (source,) = [s for s in block_at(tmp_path / "mine").data if s.role == "calibration"]
    assert source.label_mapping == {"T lymphocytes": "T cell", "CL:0000236": "B cell"}


def test_groups_are_left_out_whole(tiny: Path, tmp_path: Path, run_zoo: Zoo) -> None:
    """A donor whose cells are labelled otherwise shows in its own row, not in a mean."""
    adata = make_labelled(300)
    other = (adata.obs["donor"] == "d2").to_numpy()
    swapped = {"T cell": "B cell", "B cell": "monocyte", "monocyte": "T cell"}
    labels = adata.obs["cell_type"].astype(str)
    adata.obs["cell_type"] = np.where(other, labels.map(swapped), labels)
    adata.write_h5ad(tmp_path / "my.h5ad")
    told = run_zoo(
        "calibrate", tiny, tmp_path / "my.h5ad", "--label", "cell_type", "--group", "donor",
        "-o", tmp_path / "mine", "--json",
    )  # fmt: skip
    coverage = {
        row["condition"].rsplit("; ", 1)[1]: row["value"]
        for row in told.json["rows"]
        if ":" in row["id"] and row["metric"] == "coverage"
    }
    assert coverage["the group 'd2'"] < min(
        value for name, value in coverage.items() if "d2" not in name
    )
    assert all(row["donor_independent"] is None for row in told.json["rows"])


def test_odd_names_in_a_file_do_no_harm(tiny: Path, tmp_path: Path, run_zoo: Zoo) -> None:
    adata = make_labelled(120, strangers=10)
    odd = {"mast cell": f"mast\x1b[31m\ncell {'x' * 3000}"}
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).replace(odd)
    adata.obs["donor"] = [f"a very long name\n\x07{'y' * 300} {i % 3}" for i in range(120)]
    adata.write_h5ad(tmp_path / "my.h5ad")
    told = run_zoo(
        "calibrate", tiny, tmp_path / "my.h5ad", "--label", "cell_type", "--group", "donor",
        "-o", tmp_path / "mine",
    )  # fmt: skip
    assert told.code == 0, told.err
    assert "\x1b" not in told.out + told.err
    assert run_zoo("info", tmp_path / "mine").code == 0


# -- other classifiers ---------------------------------------------------------------------------


def test_a_spatial_classifier_is_calibrated_by_slide(tmp_path: Path, run_zoo: Zoo) -> None:
    folder = spatial_classifier(tmp_path / "spatial")
    adata = make_slides(60, 70, 50, seed=2)
    kinds = np.array(LABELS[:2])
    adata.obs["cell_type"] = kinds[np.arange(180) % 2]
    adata.write_h5ad(tmp_path / "spots.h5ad")
    words = ("--label", "cell_type", "--slide-key", "section", "-o", tmp_path / "mine", "--json")
    told = run_zoo("calibrate", folder, tmp_path / "spots.h5ad", *words)
    assert told.code == 0, told.out
    assert "3 groups of obs['section']" in block_at(tmp_path / "mine").calibration.data
    assert run_zoo("test", tmp_path / "mine").code == 0
    ran = run_zoo(
        "run", tmp_path / "mine", tmp_path / "spots.h5ad", "--slide-key", "section",
        "-o", tmp_path / "result.h5ad",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "set_size" in ad.read_h5ad(tmp_path / "result.h5ad").obs


def spatial_classifier(folder: Path) -> Path:
    """The tiny spatial model with two classes from its embedding, and no sets."""
    write_tiny_spatial_model(folder)
    model = onnx.load(folder / "model.onnx")
    model.graph.node.extend(
        [
            helper.make_node("Softmax", ["embedding"], ["prob"], axis=1),
            helper.make_node("ArgMax", ["prob"], ["label"], axis=1, keepdims=0),
        ]
    )
    del model.graph.output[:]
    model.graph.output.extend(
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["cells"]),
            helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["cells", 2]),
        ]
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "labels.tsv").write_text(labels_table(2), encoding="utf-8")
    block = spatial_block("tiny-spatial").model_dump(mode="json")
    block |= {"task": "tumor_detection", "prob_kind": "softmax"}
    block["outputs"] = [
        {"name": name, "description": name, "unit": "any"} for name in ("label", "prob")
    ]
    block["tolerances"] = {
        name: {"atol": 1e-4, "rtol": 1e-4, "measured": 0.0} for name in ("label", "prob")
    }
    block["calibration"] = None
    card = ModelCard(CellZooBlock.model_validate(block), "# tiny-spatial\n")
    (folder / "README.md").write_text(card.render(), encoding="utf-8")
    write_manifest(folder)
    return with_sample(folder, make_slides(40, seed=3))


# -- refusals ------------------------------------------------------------------------------------


def test_what_is_refused(tiny: Path, tmp_path: Path, run_zoo: Zoo) -> None:
    adata = make_labelled(100)
    adata.obs["one"] = "T cell"
    adata.obs["foreign"] = "neuron"
    adata.obs["few"] = [*list(LABELS) * 5, *([""] * 85)]
    adata.obs["same"] = "d1"
    adata.obs["barcode"] = [f"b{i}" for i in range(100)]
    adata.obs["gaps"] = ["d1"] * 50 + ["d2"] * 49 + [""]
    mine = tmp_path / "my.h5ad"
    adata.write_h5ad(mine)

    def refusal(code: int, label: str, *words: str) -> str:
        told = run_zoo("calibrate", tiny, mine, "--label", label, "-o", tmp_path / "out", *words)
        assert told.code == code, told.err
        assert not (tmp_path / "out").exists()
        return told.err

    assert "none of it is a label of the model ('T cell', 'B cell'" in refusal(3, "foreign")
    assert "--map 'FROM=TO'" in refusal(3, "foreign")
    assert "would call everything so" in refusal(3, "one")
    assert "15 usable cells" in refusal(3, "few")
    assert "20 at least" in refusal(3, "few")
    assert "'nothing'" in refusal(3, "nothing")
    assert "resemble each other" in refusal(3, "cell_type", "--group", "same")
    assert "it names cells" in refusal(3, "cell_type", "--group", "barcode")
    assert "no value in obs['gaps']" in refusal(3, "cell_type", "--group", "gaps")
    assert "1/101" in refusal(2, "cell_type", "--alpha", "0.009")
    assert "--alpha 0.01" in refusal(2, "cell_type", "--alpha", "0.009")
    assert "between 0 and 1" in refusal(2, "cell_type", "--alpha", "1.5")
    assert "three numbers above 1.0.0" in refusal(2, "cell_type", "--version", "1.0.0")
    assert "three numbers above 1.0.0" in refusal(2, "cell_type", "--version", "new")
    assert "'T cell' is not FROM=TO" in refusal(2, "cell_type", "--map", "T cell")
    none = [part for name in LABELS for part in ("--map", f"{name}=")]
    assert "none of it is a label" in refusal(3, "cell_type", *none)
    assert "'T=B cell'" in refusal(2, "cell_type", "--map", "T=B cell")
    assert "'T cell=neuron'" in refusal(2, "cell_type", "--map", "T cell=neuron")


def test_a_model_without_classes_is_refused(tmp_path: Path, run_zoo: Zoo) -> None:
    folder = write_tiny_spatial_model(tmp_path / "spatial")
    mine = write_labelled(tmp_path / "my.h5ad", 30)
    told = run_zoo("calibrate", folder, mine, "--label", "cell_type", "-o", tmp_path / "out")
    assert told.code == 2
    assert "is no classifier: it gives embedding, recon_error" in told.err


def test_a_model_keeps_its_own_folder(tiny: Path, labelled: Path, run_zoo: Zoo) -> None:
    before = sha256_of_file(tiny / "manifest.json")
    told = run_zoo("calibrate", tiny, labelled, "--label", "cell_type", "-o", tiny, "--overwrite")
    assert told.code == 8
    assert "is the input itself" in told.err
    assert sha256_of_file(tiny / "manifest.json") == before


def test_a_missing_package_is_named(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "yaml"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, package, None)
            told = run_zoo(
                "calibrate", tiny, labelled, "--label", "cell_type", "-o", tmp_path / "x"
            )
        assert told.code == 2
        assert "pip install 'cellzoo[calibrate]'" in told.err


def test_torch_is_not_needed(tiny: Path, labelled: Path, tmp_path: Path) -> None:
    words = ["calibrate", str(tiny), str(labelled), "--label", "cell_type", "-o",
             str(tmp_path / "mine")]  # fmt: skip
    script = (
        "import sys\n"
        "for name in ('torch', 'scipy', 'sklearn', 'pandas', 'anndata'): sys.modules[name] = None\n"
        f"import zoo.cli; sys.exit(zoo.cli.execute({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- whole or not at all -------------------------------------------------------------------------


def test_a_failure_leaves_nothing(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> list:
        raise ParityFailed("tiny@1.1.0", ["prob: 1 values differ"])

    monkeypatch.setattr("zoo.calibrating.folder.check_parity", fails)
    out = tmp_path / "mine"
    assert run_zoo("calibrate", tiny, labelled, "--label", "cell_type", "-o", out).code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.h5ad", "tiny"]


def test_an_interrupted_overwrite_leaves_the_former_folder(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine"
    words = ("calibrate", tiny, labelled, "--label", "cell_type", "-o", out)
    assert run_zoo(*words).code == 0
    before = sha256_of_file(out / "manifest.json")
    exists = run_zoo(*words)
    assert exists.code == 8
    assert "--overwrite" in exists.err

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("zoo.calibrating.folder.check_parity", interrupted)
        assert run_zoo(*words, "--overwrite", "--alpha", "0.2").code == 130
    assert sha256_of_file(out / "manifest.json") == before
    assert run_zoo(*words, "--overwrite", "--alpha", "0.2").code == 0
    assert block_at(out).calibration.alpha == 0.2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "my.h5ad", "tiny"]


def test_only_a_model_folder_is_replaced(
    tiny: Path, labelled: Path, tmp_path: Path, run_zoo: Zoo
) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("…")
    words = ("calibrate", tiny, labelled, "--label", "cell_type", "--overwrite", "-o")
    told = run_zoo(*words, precious)
    assert told.code == 8
    assert "a folder with other files" in told.err
    assert (precious / "chapter1.tex").exists()
    (tmp_path / "empty").mkdir()
    assert run_zoo(*words, tmp_path / "empty").code == 0
    nowhere = run_zoo(*words, tmp_path / "no" / "where")
    assert nowhere.code == 8
    assert "there is no folder" in nowhere.err
