"""`zoo domains`: k-means on a result's embedding, as a step after the run."""

import json

import anndata as ad
import h5py
import numpy as np
import pytest
from simulated_result import write_result
from spatial_file import make_slides
from tiny_spatial_model import write_tiny_spatial_model

from zoo import clustering
from zoo.clustering import kmeans
from zoo.domains import find_domains
from zoo.errors import DomainNumber


def blobs(cells=300, k=3, seed=0):
    random = np.random.default_rng(seed)
    truth = random.integers(0, k, cells)
    return random.normal(size=(cells, 4)) + 12 * np.eye(max(k, 4))[truth, :4], truth


def same_groups(one, other):
    """Whether two labellings differ by their numbers only."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


# -- clustering ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_finds_separate_blobs_whatever_the_seed(seed):
    points, truth = blobs()
    found = kmeans(points, 3, seed=seed)
    assert same_groups(found.labels, truth)
    assert found.labels.dtype == np.int32
    sizes = np.bincount(found.labels)
    assert (np.diff(sizes) <= 0).all(), "group 0 is the largest"
    direct = np.square(points - found.centres[found.labels]).sum()
    assert found.inertia == pytest.approx(direct)
    for group in range(3):
        np.testing.assert_allclose(found.centres[group], points[found.labels == group].mean(axis=0))


def test_the_same_seed_gives_the_same_groups(monkeypatch):
    points = np.random.default_rng(1).normal(size=(500, 5))
    one = kmeans(points, 7, seed=3)
    monkeypatch.setattr(clustering, "_DISTANCES_AT_ONCE", 70)
    np.testing.assert_array_equal(one.labels, kmeans(points, 7, seed=3).labels)
    assert not np.array_equal(one.labels, kmeans(points, 7, seed=4).labels)


def test_more_starts_are_never_worse():
    points = np.random.default_rng(2).normal(size=(300, 3))
    assert kmeans(points, 8, restarts=10).inertia <= kmeans(points, 8, restarts=1).inertia


def test_is_as_good_as_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")
    points = np.random.default_rng(3).normal(size=(400, 3))
    theirs = cluster.KMeans(5, n_init=10, random_state=0).fit(points).inertia_
    assert kmeans(points, 5).inertia <= theirs * 1.01


def test_takes_equal_points_and_as_many_groups_as_points():
    assert kmeans(np.ones((6, 2)), 3).inertia == 0
    assert sorted(kmeans(np.arange(5.0)[:, None], 5).labels) == [0, 1, 2, 3, 4]


# -- domains -------------------------------------------------------------------------------------


def test_slides_are_divided_one_by_one():
    points, truth = blobs()
    slides = np.where(np.arange(300) % 2, "A", "B")
    moved = points + np.where(slides == "A", 1000, 0)[:, None]
    found = find_domains(moved, slides, k=3)
    for name in "AB":
        assert same_groups(found.domain[slides == name], truth[slides == name])
    with pytest.raises(DomainNumber, match="slide 'A'"):
        find_domains(points[:5], slides[:5], k=3)


def test_adds_a_column_and_says_how(tmp_path, monkeypatch, run_zoo):
    monkeypatch.chdir(tmp_path)
    result = write_result(tmp_path / "my.tiny.h5ad")
    before = ad.read_h5ad(result)
    done = run_zoo("domains", result, "--k", "3", "--json")
    assert done.code == 0
    assert done.json["outputs"] == ["my.tiny.domains.h5ad"]
    assert list(done.json) == ["k", "seed", "slide_key", "inertia", "domains", "outputs"]
    assert done.json["domains"] == {"0": 100, "1": 100, "2": 100}
    after = ad.read_h5ad("my.tiny.domains.h5ad")
    assert after.obs["domain"].dtype == "category"
    assert after.obs["domain"].cat.categories.tolist() == ["0", "1", "2"]
    assert same_groups(after.obs["domain"].to_numpy(), before.obs["label"].to_numpy())
    facts = after.uns["cellzoo"]["domains"]
    assert (facts["k"], facts["seed"], "slide_key" in facts) == (3, 0, False)
    assert facts["inertia"] == pytest.approx(done.json["inertia"])
    assert facts["date"].startswith("20")
    assert after.obs.drop(columns="domain").equals(before.obs)
    again = run_zoo("domains", "my.tiny.domains.h5ad", "--k", "2", "-o", "again.h5ad")
    assert "Wrote again.h5ad" in again.out
    again = ad.read_h5ad("again.h5ad")
    assert again.obs.columns.tolist() == after.obs.columns.tolist()
    assert again.uns["cellzoo"]["domains"]["k"] == 2


def test_from_a_spatial_run_to_domains_by_slide(tmp_path, run_zoo):
    model = write_tiny_spatial_model(tmp_path / "tiny-spatial")
    make_slides(40, 30, interleaved=True).write_h5ad(tmp_path / "my.h5ad")
    result, out = tmp_path / "r.h5ad", tmp_path / "d.h5ad"
    words = ("--slide-key", "section", "-o", result)
    assert run_zoo("run", model, tmp_path / "my.h5ad", *words).code == 0
    done = run_zoo("domains", result, "--k", "2", "--slide-key", "slide", "-o", out, "--json")
    assert done.json["slide_key"] == "slide"
    found = ad.read_h5ad(out)
    assert found.obs.groupby("slide", observed=True)["domain"].nunique().tolist() == [2, 2]
    assert len(json.loads(found.uns["cellzoo"]["slides"])) == 2


# -- refusals ------------------------------------------------------------------------------------


def drop_embedding(file):
    del file["obsm/X_embedding"]


def drop_provenance(file):
    del file["uns/cellzoo"]


def break_embedding(file):
    file["obsm/X_embedding"][7] = np.nan


@pytest.mark.parametrize(
    ("damage", "flags", "code", "error", "words"),
    [
        (drop_embedding, (), 3, "NoEmbedding", "'tiny' gives none"),
        (drop_provenance, (), 3, "NotAResult", "names a model"),
        (break_embedding, (), 3, "CorruptMatrix", "row 7 is not finite"),
        (None, ("--slide-key", "batch"), 3, "NoSlides", "no column 'batch' in obs"),
        (None, ("--k", "301"), 2, "DomainNumber", "301 domains among the 300 cells"),
        (None, ("--k", "1"), 2, "DomainNumber", "1 domains"),
        (None, ("-o", "out.csv"), 2, "UnknownOutputFormat", "out.csv"),
    ],
)
def test_refusals(tmp_path, monkeypatch, run_zoo, damage, flags, code, error, words):
    monkeypatch.chdir(tmp_path)
    result = write_result(tmp_path / "my.h5ad")
    if damage:
        with h5py.File(result, "r+") as file:
            damage(file)
    done = run_zoo("domains", result, "--k", "3", *flags, "--json")
    assert (done.code, done.json["error"]) == (code, error)
    assert words in done.json["message"]
    assert [path.name for path in tmp_path.glob("*.h5ad")] == ["my.h5ad"]


def test_keeps_what_is_there(tmp_path, run_zoo):
    result = write_result(tmp_path / "my.h5ad")
    before = result.read_bytes()
    words = ("domains", result, "--k", "3")
    done = run_zoo(*words, "-o", result, "--overwrite", "--json")
    assert done.json["error"] == "OutputIsInput"
    (tmp_path / "out.h5ad").write_text("mine")
    assert run_zoo(*words, "-o", tmp_path / "out.h5ad").code == 8
    assert (tmp_path / "out.h5ad").read_text() == "mine"
    assert result.read_bytes() == before
    assert run_zoo("domains", tmp_path / "absent.h5ad", "--k", "3").code == 3
