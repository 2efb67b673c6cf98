"""Splits by whole groups: the plan, the file, the command."""

from __future__ import annotations

import itertools

import anndata as ad
import h5py
import numpy as np
import pytest
from counts_file import make_adata
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.categories import Categories
from zoo.errors import (
    GroupPerCell,
    OneGroup,
    SharesOutOfRange,
    UngroupedCells,
    UnknownGroups,
)
from zoo.splitting import EXACT_GROUPS, PARTS, plan_split
from zoo.trainability import missing_labels, plan_findings

SIZES = st.lists(st.integers(1, 40), min_size=2, max_size=7).filter(lambda s: sum(s) > len(s))
MANY = st.lists(st.integers(1, 40), min_size=EXACT_GROUPS + 1, max_size=40).filter(
    lambda s: sum(s) > len(s)
)


def groups_of(sizes, column="donor") -> Categories:
    names = np.repeat([f"d{number:02}" for number in range(len(sizes))], sizes)
    mixed = np.random.default_rng(1).permutation(names)
    return Categories.of(mixed, path="my.h5ad", column=column)


def distance(cells, wanted) -> float:
    return float(((np.array(cells) / sum(cells) - wanted) ** 2).sum())


@settings(max_examples=60, deadline=None)
@given(st.one_of(SIZES, MANY), st.integers(0, 5))
def test_groups_are_whole_and_every_cell_has_a_part(sizes, seed):
    groups = groups_of(sizes)
    split = plan_split(groups, seed=seed)
    assert split.cells.sum() == sum(sizes)
    assert set(np.unique(split.codes)) <= {0, 1, 2}
    for code in range(len(sizes)):
        assert len(np.unique(split.codes[groups.codes == code])) == 1
    assert sorted(itertools.chain(*map(split.groups_of, PARTS))) == list(groups.names)
    assert split.cells[0] > 0, "train comes first"
    assert split.cells[2] > 0, "then test"
    assert (split.cells[1] > 0) == (len(sizes) > 2)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.sampled_from([(0.2, 0.2), (0.0, 0.3), (0.1, 0.25)]))
def test_few_groups_come_as_near_as_can_be(sizes, shares):
    validation, test = shares
    split = plan_split(groups_of(sizes), validation=validation, test=test)
    wanted = np.array([1 - validation - test, validation, test])
    parts = range(3) if validation else (0, 2)
    every = itertools.product(parts, repeat=len(sizes))
    sums = [np.bincount(part, weights=sizes, minlength=3) for part in every]
    filled = [cells for cells in sums if ((cells > 0) | (wanted == 0)).all()]
    if not filled:  # two groups for three parts
        filled = [cells for cells in sums if cells[0] > 0 and cells[2] > 0]
    nearest = min(distance(cells, wanted) for cells in filled)
    assert distance(split.cells, wanted) == pytest.approx(nearest, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(MANY)
def test_many_groups_come_near(sizes):
    split = plan_split(groups_of(sizes))
    wanted = split.wanted.as_array() * sum(sizes)
    assert np.abs(split.cells - wanted).max() <= max(sizes)


@settings(max_examples=20, deadline=None)
@given(st.one_of(SIZES, MANY), st.integers(0, 9))
def test_the_same_seed_gives_the_same_split(sizes, seed):
    first, again = (plan_split(groups_of(sizes), seed=seed) for _ in range(2))
    assert (first.part == again.part).all()


def test_another_seed_gives_another_split_of_equal_groups():
    splits = {tuple(plan_split(groups_of([5] * 8), seed=seed).part) for seed in range(5)}
    assert len(splits) > 1


def test_thousands_of_groups():
    sizes = np.random.default_rng(0).integers(1, 9, 3000)
    split = plan_split(groups_of(sizes))
    assert np.abs(split.cells / sizes.sum() - [0.6, 0.2, 0.2]).max() < 0.001


def test_one_giant_group_leaves_no_part_empty():
    assert (plan_split(groups_of([1000, *[1] * 20])).cells > 0).all()


def test_held_out_groups_are_the_test():
    split = plan_split(groups_of([30, 10, 10, 10, 40]), hold_out=["d01"])
    assert split.groups_of("test") == ["d01"]
    assert split.wanted.test == pytest.approx(0.1)
    assert split.cells.tolist() == [70, 20, 10]


def test_a_wanted_share_fills_up_what_is_held_out():
    split = plan_split(groups_of([30, 10, 10, 10, 40]), hold_out=["d01"], test=0.4, validation=0)
    assert "d01" in split.groups_of("test")
    assert split.cells.tolist() == [60, 0, 40]


@pytest.mark.parametrize(
    ("sizes", "how", "error"),
    [
        ([10], {}, OneGroup),
        ([1, 1, 1], {}, GroupPerCell),
        ([3, 3], {"hold_out": ["d07"]}, UnknownGroups),
        ([3, 3], {"test": 0.8}, SharesOutOfRange),
        ([3, 3], {"test": -0.1}, SharesOutOfRange),
        ([3, 3], {"validation": float("nan")}, SharesOutOfRange),
        ([3, 3], {"hold_out": ["d00", "d01"], "validation": 0}, SharesOutOfRange),
    ],
)
def test_what_would_not_be_honest_is_refused(sizes, how, error):
    with pytest.raises(error):
        plan_split(groups_of(sizes), **how)


def test_cells_without_a_group_are_refused():
    groups = Categories.of(np.array(["a", "", "b", "a"]), path="my.h5ad", column="donor")
    with pytest.raises(UngroupedCells, match="have no value in obs"):
        plan_split(groups)


def test_labels_that_a_part_lacks():
    groups = groups_of([10, 10])
    split = plan_split(groups, validation=0, test=0.5)
    everywhere_but_one = np.where(groups.codes == 0, "T", "B")
    labels = Categories.of(everywhere_but_one, path="", column="label")
    lacking = missing_labels(split, labels)
    assert sorted(map(tuple, lacking.values())) == [("B",), ("T",)]


def test_a_wanted_part_that_stays_empty_is_told():
    (finding,) = plan_findings(plan_split(groups_of([10, 10])), None)
    assert (finding.code, finding.level) == ("empty_part", "yellow")
    assert "validation is empty: 2 groups are too few" in finding.message


# -- the file and the command --------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    adata = make_adata(60)
    adata.obs["donor"] = [f"donor{1 + i % 5}" for i in range(60)]
    adata.obs["kind"] = ["rare" if i == 0 else "T" for i in range(60)]
    adata.obsm["X_pca"] = np.ones((60, 2))
    adata.layers["twice"] = adata.X * 2
    adata.uns["cellzoo"] = {"license": "CC0", "prepared": {"changes": ["x"]}}
    path = tmp_path / "my.h5ad"
    adata.write_h5ad(path, compression="gzip")
    return path


def contents(path, skip):
    """Each data set's bytes as stored, its type and filters, and each element's attributes."""
    found = {}

    def visit(name, element):
        if name.startswith(skip):
            return
        attributes = {k: np.asarray(v).tolist() for k, v in element.attrs.items()}
        stored = None
        if isinstance(element, h5py.Dataset):
            stored = (element.dtype, element.chunks, element.compression, np.asarray(element[()]))
            stored = (*stored[:3], stored[3].tolist())
        found[name] = (stored, attributes)

    with h5py.File(path) as h5:
        h5.visititems(visit)
        found["/"] = (None, dict(h5.attrs))
    return found


def test_all_else_of_the_file_is_kept(file, tmp_path, run_zoo):
    out = tmp_path / "split.h5ad"
    assert run_zoo("split", file, "--by", "donor", "-o", out).code == 0
    ours = ("obs/split", "uns/cellzoo/split")
    before, after = contents(file, ours), contents(out, ours)
    order = after["obs"][1]["column-order"]
    assert order == [*before["obs"][1]["column-order"], "split"]
    before.pop("obs"), after.pop("obs")
    assert before == after


def test_the_split_and_its_log(file, tmp_path, run_zoo):
    out = tmp_path / "split.h5ad"
    told = run_zoo("split", file, "--by", "donor", "-o", out, "--label", "kind", "--json").json
    adata = ad.read_h5ad(out)
    assert adata.obs["split"].cat.categories.tolist() == list(PARTS)
    assert (adata.obs.groupby("donor", observed=True)["split"].nunique() == 1).all()
    assert adata.obs["split"].value_counts().to_dict() == told["cells"]
    log = adata.uns["cellzoo"]["split"]
    assert set(log) == {
        "by", "seed", "wanted", "reached", "cells", "groups", "input", "date", "zoo_version",
    }  # fmt: skip
    assert log["by"] == told["by"] == "donor"
    assert log["wanted"] == {"train": 0.6, "validation": 0.2, "test": 0.2}
    assert {part: list(names) for part, names in log["groups"].items()} == told["groups"]
    lacking = [f for f in told["findings"] if f["code"] == "missing_labels"]
    assert len(lacking) == 2
    assert "no cell of 1 label(s): 'rare'" in lacking[0]["message"]
    assert told["outputs"] == [str(out)]


def test_for_people(file, tmp_path, run_zoo):
    done = run_zoo("split", file, "--by", "donor", "-o", tmp_path / "o.h5ad", "--hold-out",
                   "donor3", "--label", "kind")  # fmt: skip
    assert "donor3" in next(line for line in done.out.splitlines() if line.startswith("test"))
    assert "has no cell of 1 label(s)" in done.err


def test_a_split_is_replaced_only_when_asked(file, tmp_path, run_zoo):
    first, second = tmp_path / "a.h5ad", tmp_path / "b.h5ad"
    assert run_zoo("split", file, "--by", "donor", "-o", first).code == 0
    refused = run_zoo("split", first, "--by", "donor", "-o", second)
    assert (refused.code, "--resplit" in refused.err) == (3, True)
    words = ("--resplit", "--hold-out", "donor2", "--validation", "0")
    assert run_zoo("split", first, "--by", "donor", "-o", second, *words).code == 0
    adata = ad.read_h5ad(second)
    assert (adata.obs["split"] == "test").sum() == 12
    assert list(adata.obs).count("split") == 1


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--by", "sex"], 3, "has no 'sex' in obs"),
        (["--by", "donor", "--hold-out", "me"], 2, "--hold-out takes one of: 'donor1'"),
        (["--by", "donor", "--test", "1"], 2, "leave nothing for train"),
        (["--by", "donor", "--label", "sex"], 3, "has no 'sex' in obs"),
    ],
)
def test_words_that_are_off(file, tmp_path, run_zoo, words, code, text):
    done = run_zoo("split", file, "-o", tmp_path / "o.h5ad", *words)
    assert done.code == code
    assert text in done.err
    assert not (tmp_path / "o.h5ad").exists()


def test_one_group_says_what_to_do(tmp_path, run_zoo):
    adata = make_adata(20)
    adata.obs["donor"] = "me"
    adata.write_h5ad(tmp_path / "my.h5ad")
    done = run_zoo("split", tmp_path / "my.h5ad", "--by", "donor", "-o", tmp_path / "o.h5ad")
    assert done.code == 3
    assert "would not be honest" in done.err
    assert "another column" in done.err


def test_the_input_is_never_written_over(file, run_zoo):
    done = run_zoo("split", file, "--by", "donor", "-o", file, "--overwrite")
    assert done.code == 8


def test_other_formats_are_refused(tmp_path, run_zoo):
    pytest.importorskip("zarr")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make_adata(20).write_zarr(tmp_path / "my.zarr")
    done = run_zoo("split", tmp_path / "my.zarr", "--by", "cluster", "-o", tmp_path / "o.h5ad")
    assert (done.code, "the input is zarr" in done.err) == (2, True)
