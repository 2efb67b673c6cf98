"""Spatial models: slides are graphs, never mixed, and cells keep the file's order."""

import json
import subprocess
import sys

import anndata as ad
import h5py
import numpy as np
import pytest
from spatial_file import make_slides
from tiny_model import write_manifest, write_tiny_model
from tiny_spatial_model import dense_embedding, write_tiny_spatial_model

import zoo
from zoo.card import GraphRecipe
from zoo.errors import InvalidGraph
from zoo.parts import ModelParts
from zoo.session import Session
from zoo.settings import Settings


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny_spatial_model(tmp_path_factory.mktemp("model") / "tiny-spatial"))


@pytest.fixture
def ran(model, tmp_path, run_zoo):
    """Run the model on an AnnData and read the result."""

    def run(adata, *words, name="out.h5ad"):
        adata.write_h5ad(tmp_path / "my.h5ad")
        words = ["-o", tmp_path / name, "--overwrite", *words]
        done = run_zoo("run", model, tmp_path / "my.h5ad", *words)
        assert done.code == 0, done.err
        return ad.read_h5ad(tmp_path / name)

    return run


def expected(adata, column="section"):
    """The embedding by the dense reference, slide by slide."""
    counts, xy = adata.X.toarray().astype(float), np.asarray(adata.obsm["spatial"])
    whole = np.full((len(counts), 2), np.nan)
    for name in adata.obs[column].unique():
        rows = (adata.obs[column] == name).to_numpy()
        whole[rows] = dense_embedding(counts[rows], xy[rows])
    return whole


@pytest.mark.parametrize("interleaved", [False, True])
def test_answers_are_those_of_the_dense_reference(ran, interleaved):
    adata = make_slides(40, 25, 60, interleaved=interleaved)
    result = ran(adata, "--slide-key", "section", "--batch-size", "16")
    assert result.obs_names.tolist() == adata.obs_names.tolist()
    np.testing.assert_allclose(result.obsm["X_embedding"], expected(adata), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(result.obsm["spatial"], adata.obsm["spatial"])
    assert result.obs["slide"].astype(str).tolist() == adata.obs["section"].tolist()


def test_a_whole_file_is_one_slide_unless_told_otherwise(ran):
    adata = make_slides(30, 30)
    one = ran(adata)
    adata.obs["all"] = "one"
    np.testing.assert_allclose(
        one.obsm["X_embedding"], expected(adata, "all"), rtol=1e-5, atol=1e-5
    )
    assert "slide" not in one.obs
    two = ran(adata, "--slide-key", "section")
    assert np.abs(one.obsm["X_embedding"] - two.obsm["X_embedding"]).max() > 0.1


def test_slides_do_not_mix(ran):
    adata = make_slides(30, 30, interleaved=True)
    before = ran(adata, "--slide-key", "section")
    changed = adata.copy()
    on_b = (adata.obs["section"] == "B").to_numpy()
    changed.X = changed.X.multiply(1 + 8 * on_b[:, None]).tocsr()
    changed.obsm["spatial"] = np.where(on_b[:, None], 3, 1) * adata.obsm["spatial"]
    after = ran(changed, "--slide-key", "section")
    one, other = before.obsm["X_embedding"], after.obsm["X_embedding"]
    np.testing.assert_array_equal(one[~on_b], other[~on_b])
    assert np.abs(one[on_b] - other[on_b]).min(axis=0).max() > 0


def test_receivers_hear_their_sources():
    """A directed graph, fed by hand: row 0 receives, row 1 is the source."""
    from tiny_spatial_model import AXES, spatial_onnx

    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(spatial_onnx().SerializeToString())
    counts = np.zeros((3, 6), dtype=np.float32)
    counts[2, 0] = np.e - 1
    feed = {
        "counts": counts,
        "edge_index": np.array([[0, 1], [2, 0]]),
        "edge_weight": np.array([0.5, 1], dtype=np.float32),
    }
    (embedding,) = session.run(["embedding"], feed)
    np.testing.assert_allclose(embedding, [0.5 * AXES[0], [0, 0], [0, 0]], atol=1e-6)


def test_a_spot_in_the_middle_hears_more_than_one_at_the_edge(ran):
    adata = make_slides(5)
    adata.obsm["spatial"] = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [4, 0.0]])
    heard = ran(adata).obs["recon_error"].to_numpy()
    np.testing.assert_allclose(heard, heard[::-1], rtol=1e-6)
    assert heard[0] < heard[1] < heard[2] + 0.01


@pytest.mark.parametrize("batch_size", [1, 7, 100, 5000])
def test_block_size_changes_nothing(ran, batch_size):
    adata = make_slides(33, 20, 47, interleaved=True)
    words = ("--slide-key", "section")
    one = ran(adata, *words)
    other = ran(adata, *words, "--batch-size", str(batch_size), "--threads", "3", name="b.h5ad")
    np.testing.assert_array_equal(one.obsm["X_embedding"], other.obsm["X_embedding"])
    assert one.obs.equals(other.obs)
    facts = [result.uns["cellzoo"] for result in (one, other)]
    assert facts[0]["input_digest"] == facts[1]["input_digest"]
    assert facts[0]["slides"] == facts[1]["slides"]


def test_provenance_tells_each_slide(ran):
    facts = ran(make_slides(40, 25), "--slide-key", "section").uns["cellzoo"]
    assert facts["slide_key"] == "section"
    assert "--slide-key section" in facts["command"]
    a, b = json.loads(facts["slides"])
    assert (a["slide"], a["spots"], b["slide"], b["spots"]) == ("A", 40, "B", 25)
    assert a["edges"] > 40
    assert 0 < a["length"] < 10


def test_says_where_one_slide_may_be_several(model, tmp_path, run_zoo):
    adata = make_slides(20, 20)
    adata.obs["batch"] = adata.obs["section"]
    adata.obs["sample"] = "one"
    adata.write_h5ad(tmp_path / "my.h5ad")
    words = ("run", model, tmp_path / "my.h5ad", "-o", tmp_path / "out.h5ad", "--overwrite")
    assert "obs['batch'] may name several. If it does, give it: --slide-key batch." in (
        run_zoo(*words).err
    )
    assert "may name several" not in run_zoo(*words, "--slide-key", "batch").err


def without_coordinates(adata):
    del adata.obsm["spatial"]


def one_spot(adata):
    adata.obs["section"] = ["B"] + ["A"] * (adata.n_obs - 1)


def one_place(adata):
    adata.obsm["spatial"] = np.ones((adata.n_obs, 2))


def no_place(adata):
    adata.obsm["spatial"][3, 1] = np.nan


def five_columns(adata):
    adata.obsm["spatial"] = np.ones((adata.n_obs, 5))


def no_column(adata):
    del adata.obs["section"]


def empty_in_part(adata):
    adata.obs["section"] = ["", "A", "A"] + ["B"] * (adata.n_obs - 3)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (without_coordinates, "NoCoordinates", "has no obsm['spatial'] (obsm is empty)"),
        (one_spot, "SingleSpot", "only one spot in slide 'B'"),
        (one_place, "CoincidentSpots", "lie at one place"),
        (no_place, "CoordinatesNotFinite", "row 3"),
        (five_columns, "NotCoordinates", "30 × 5"),
        (no_column, "MissingKey", "has no 'section' in obs"),
        (empty_in_part, "SpotsWithoutSlide", "empty for 1 spot(s)"),
    ],
)
def test_check_prints_what_run_raises(model, tmp_path, run_zoo, fault, error, words):
    adata = make_slides(30)
    fault(adata)
    file = tmp_path / "my.h5ad"
    adata.write_h5ad(file)
    flags = ("--slide-key", "section", "--json")
    done = run_zoo("run", model, file, "-o", tmp_path / "out.h5ad", *flags)
    assert (done.code, done.json["error"]) == (3, error)
    assert words in done.json["message"]
    assert not (tmp_path / "out.h5ad").exists()
    findings = run_zoo("check", file, "--model", model, *flags).json["findings"]
    (red,) = [finding for finding in findings if finding["level"] == "red"]
    assert red["message"] == done.json["message"]
    assert red["code"] == "spatial"


def test_other_models_run_on_spatial_files_as_before(tmp_path, run_zoo):
    tiny = write_tiny_model(tmp_path / "tiny")
    make_slides(20, 20).write_h5ad(tmp_path / "my.h5ad")
    words = ("run", tiny, tmp_path / "my.h5ad", "-o", tmp_path / "out.h5ad")
    assert run_zoo(*words).code == 0
    result = ad.read_h5ad(tmp_path / "out.h5ad")
    assert list(result.obsm) == ["X_embedding"]
    assert "slides" not in result.uns["cellzoo"]
    done = run_zoo(*words, "--overwrite", "--slide-key", "section", "--json")
    assert (done.code, done.json["error"]) == (2, "ConflictingOptions")


def test_copies_and_objects_keep_their_own_coordinates(model, tmp_path, run_zoo):
    adata = make_slides(20, 20)
    adata.write_h5ad(tmp_path / "my.h5ad")
    copy = tmp_path / "copy.h5ad"
    words = ("--into", copy, "--slide-key", "section")
    assert run_zoo("run", model, tmp_path / "my.h5ad", *words).code == 0
    assert sorted(ad.read_h5ad(copy).obsm) == ["X_tiny_spatial", "spatial"]
    zoo.annotate(adata, zoo.load(model), slide_key="section")
    assert sorted(adata.obsm) == ["X_tiny_spatial", "spatial"]
    np.testing.assert_allclose(adata.obsm["X_tiny_spatial"], expected(adata), atol=1e-5)


def test_a_graph_and_its_card_agree_on_edges(model, tmp_path):
    from zoo.pull import pull

    parts = ModelParts.of(pull(model, settings=Settings(cache=tmp_path / "cache")))
    assert isinstance(parts.card.inputs.graph_recipe, GraphRecipe)
    inputs = parts.card.inputs.model_copy(update={"graph_recipe": None})
    card = parts.card.model_copy(update={"inputs": inputs})
    with pytest.raises(InvalidGraph, match="no graph_recipe"):
        Session.open(parts.graph, card=card, genes=parts.genes)


def test_stored_answers_of_a_spatial_model_are_compared(tmp_path, run_zoo):
    folder = write_tiny_spatial_model(tmp_path / "tiny-spatial")
    adata = make_slides(300)
    adata.write_h5ad(folder / "sample.h5ad")
    adata.obs["all"] = "one"
    weights = np.ones(300)
    with h5py.File(folder / "expected.h5", "w") as file:
        file["embedding"] = expected(adata, "all").astype(np.float32)
        file["recon_error"] = weights.astype(np.float32)
    write_manifest(folder)
    done = run_zoo("test", folder, "--json")
    assert done.code == 1
    assert "recon_error" in done.json["message"]
    assert "embedding" not in done.json["message"]


def test_a_spatial_run_imports_nothing_heavy(model, tmp_path):
    make_slides(20, 20).write_h5ad(tmp_path / "my.h5ad")
    file, out = str(tmp_path / "my.h5ad"), str(tmp_path / "o.h5ad")
    script = (
        "import sys; from zoo import cli; "
        f"code = cli.execute(['run', {model!r}, {file!r}, '-o', {out!r}, "
        "'--slide-key', 'section']); "
        f"code += cli.execute(['domains', {out!r}, '--k', '3', '-o', {out + '.h5ad'!r}]); "
        "heavy = {'torch', 'pandas', 'scipy', 'anndata', 'sklearn'} & set(sys.modules); "
        "sys.exit(f'{code} {sorted(heavy)}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_people_are_told_verdicts_where_there_are_no_calls(model, tmp_path, run_zoo):
    make_slides(30).write_h5ad(tmp_path / "my.h5ad")
    done = run_zoo("run", model, tmp_path / "my.h5ad", "-o", tmp_path / "out.h5ad")
    assert "median probability" not in done.out
    assert "borderline" in done.out


def test_one_cell_as_a_whole_file_has_no_neighbours(model, tmp_path, run_zoo):
    make_slides(1).write_h5ad(tmp_path / "my.h5ad")
    done = run_zoo("run", model, tmp_path / "my.h5ad", "-o", tmp_path / "out.h5ad", "--json")
    assert (done.code, done.json["error"]) == (3, "SingleSpot")
    assert done.json["hint"] == "Give the whole slide."
