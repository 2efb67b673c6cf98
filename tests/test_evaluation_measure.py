"""What is measured of a model's answers, on cells whose answers are known beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from counts_file import GENES, make_adata
from tiny_model import genes_table, write_tiny_model
from tiny_spatial_model import dense_embedding, write_tiny_spatial_model

from zoo.card import Thresholds
from zoo.errors import NoCoordinates, UnsuitableCondition
from zoo.evaluation.batches import ask_in_batches, batches
from zoo.evaluation.cells import LabelledCells, Placed
from zoo.evaluation.conditions import measure_conditions, steps
from zoo.evaluation.measure import measure
from zoo.evaluation.measurements import Measurements, Setting
from zoo.evaluation.model_subject import ModelSubject
from zoo.evaluation.trained_baselines import TrainedBaselines
from zoo.parts import ModelParts
from zoo.pull import in_place
from zoo.slides import Slides
from zoo.vocabulary import GeneVocabulary

SETTING = Setting("set", "made up", "external", "all cells", None, None, 1.0)
LABELS = ("T cell", "B cell", "monocyte")
THRESHOLDS = Thresholds()
VOCABULARY = GeneVocabulary.parse(genes_table(GENES).encode(), model="made up")
ALL = np.ones(len(GENES), np.float32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> ModelSubject:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return ModelSubject(ModelParts.of(in_place(folder)))


def cells_of(cells: int = 60, *, seed: int = 0, **known) -> LabelledCells:
    """Cell i is of class i modulo 3."""
    counts = make_adata(cells, seed=seed).X.toarray()
    label = np.arange(cells) % 3
    placed = Placed(counts, ALL, 1.0, counts.sum(axis=1, keepdims=True) * 2)
    return replace(LabelledCells(placed, LABELS, label), **known)


def measured(subject, cells, baselines=None, **how):
    into = Measurements(0)
    outputs = measure(subject, cells, SETTING, into, baselines, **how)
    assert len({row.id for row in into.rows}) == len(into.rows)
    return {row.id: row for row in into.rows}, outputs


# -- asking --------------------------------------------------------------------------------------


def test_a_model_is_asked_in_any_division(tiny):
    placed = cells_of(30).placed
    whole = tiny.ask(placed)
    by_seven = ask_in_batches(
        placed, None, lambda inputs: tiny._session.run(inputs, tiny.output_names), cells=7
    )
    for name, array in whole.items():
        np.testing.assert_allclose(by_seven[name], array, rtol=1e-6)


def test_no_cells_give_no_answers_of_the_right_shape(tiny):
    placed = cells_of(3).placed
    empty = tiny.ask(placed.where(np.zeros(3, bool)))
    assert empty["prob"].shape == (0, 3)
    assert empty["embedding"].shape == (0, 2)


def test_counts_of_the_file_are_told_where_they_are_known():
    placed = cells_of(5).placed
    (batch,) = batches(placed)
    np.testing.assert_array_equal(batch.inputs["total_counts"], placed.total_counts)
    (batch,) = batches(replace(placed, total_counts=None))
    assert batch.inputs["total_counts"][:, 0].tolist() == placed.counts.sum(axis=1).tolist()


def test_spots_are_asked_slide_by_slide(tmp_path):
    folder = write_tiny_spatial_model(tmp_path / "tiny-spatial")
    subject = ModelSubject(ModelParts.of(in_place(folder)))
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat([0, 1], 20)).astype(np.int32)
    slides = Slides("x", "slide", ("A", "B"), codes, rng.uniform(0, 10, (40, 2)))
    placed = replace(cells_of(40).placed, slides=slides)
    found = subject.ask(placed)["embedding"]
    for slide in (0, 1):
        here = codes == slide
        expected = dense_embedding(placed.counts[here], slides.coordinates[here])
        np.testing.assert_allclose(found[here], expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(NoCoordinates):
        subject.ask(replace(placed, slides=None))


# -- labels --------------------------------------------------------------------------------------


def test_labels_sets_and_verdicts(tiny):
    wrong = np.arange(60) < 6  # these are said to be something else
    label = np.where(wrong, (np.arange(60) + 1) % 3, np.arange(60) % 3)
    rows, outputs = measured(tiny, cells_of(label=label))
    assert rows["set.model.accuracy"].value == 0.9
    assert (rows["set.model.accuracy"].n, outputs["label"].shape) == (60, (60,))
    assert rows["set.model.macro_f1"].value == pytest.approx(0.9, abs=0.01)
    assert rows["set.model.recall-t-cell"].value == pytest.approx(1 - 2 / 20)
    assert rows["set.model.out_share"].value == 0
    sets = outputs["in_set"]
    assert rows["set.model.coverage"].value == pytest.approx(
        sets[range(60), label].mean(), abs=1e-4
    )
    assert rows["set.model.set_size"].value == pytest.approx(sets.sum(axis=1).mean(), abs=1e-4)
    # A call of a lymphocyte is right for a T cell and a B cell.
    assert rows["set.model.call_accuracy"].value >= rows["set.model.accuracy"].value
    assert "set.model.auroc" not in rows


def test_cells_without_a_class_are_measured_apart(tiny):
    cells = cells_of()
    strange = np.arange(60) >= 50
    counts = cells.placed.counts * np.where(strange, 1000, 1)[:, None].astype(np.float32)
    cells = replace(
        cells,
        placed=replace(cells.placed, counts=counts),
        label=np.where(strange, -1, cells.label),
        stranger=strange,
    )
    rows, _ = measured(tiny, cells)
    assert rows["set.model.accuracy"].n == 50
    assert rows["set-no-counterpart.model.out_share"].value == 1
    assert rows["set-no-counterpart.model.out_share"].n == 10
    assert rows["set-no-counterpart.model.ood_auroc"].value == 1


def test_shifted_data_is_told_from_held_out_cells(tiny):
    _, inside = measured(tiny, cells_of())
    far = cells_of()
    far = replace(far, placed=replace(far.placed, counts=far.placed.counts * 1000), label=None)
    into = Measurements(0)
    measure(tiny, far, replace(SETTING, role="shift"), into, inside=inside)
    rows = {row.metric: row for row in into.rows}
    assert rows["ood_auroc"].value == 1
    assert rows["ood_p_below_0.05"].value == 1
    assert "accuracy" not in rows


def test_groups_have_rows_of_their_own_and_are_what_intervals_are_drawn_over(tiny):
    cells = cells_of(groups=("d1", "d2", "d3"), group=np.arange(60) // 20)
    rows, _ = measured(tiny, cells)
    assert rows["set:d2.model.accuracy"].n == 20
    assert rows["set:d2.model.accuracy"].interval_method == "wilson"
    assert rows["set:d2.model.accuracy"].condition == "all cells; d2"
    assert rows["set.model.accuracy"].interval_method == "bootstrap"
    assert rows["set.model.accuracy"].condition == "all cells; intervals over 3 groups"


def test_one_group_of_several_has_no_rows_of_its_own(tiny):
    cells = cells_of(groups=("d1", "d2"), group=np.zeros(60, int))
    rows, _ = measured(tiny, cells)
    assert not [name for name in rows if ":" in name]


def test_baselines_stand_beside_the_model(tiny):
    pytest.importorskip("sklearn")
    baselines = TrainedBaselines.of(cells_of(90, seed=1), ("counts",))
    rows, _ = measured(tiny, cells_of(), baselines)
    for method in ("logistic_regression", "nearest_centroid"):
        assert rows[f"set.{method}.accuracy"].value > 0.7
    assert rows["set.pca32.knn_label_accuracy"].value > 0.9


def test_labels_of_baselines_are_matched_by_name(tiny):
    pytest.importorskip("sklearn")
    training = cells_of(90, seed=1)
    swapped = replace(
        training,
        labels=("monocyte", "B cell", "platelet"),
        label=np.array([2, 1, 0])[training.label],
    )
    baselines = TrainedBaselines.of(swapped, ("counts",))
    code, scores = baselines.predict("logistic_regression", cells_of().placed, LABELS)
    assert code[:3].tolist() == [-1, 1, 2]  # it calls the T cells platelets
    assert np.isneginf(scores[:, 0]).all()


@dataclass(frozen=True)
class TwoClasses:
    """Probability of the second class: the share of the first gene."""

    labels: tuple[str, ...] = ("no", "yes")
    output_names: tuple[str, ...] = ("label", "prob")
    thresholds: Thresholds = THRESHOLDS
    graph_recipe: None = None
    vocabulary: GeneVocabulary = VOCABULARY

    def ask(self, placed, outputs=None):
        share = placed.counts[:, 0] / placed.counts.sum(axis=1)
        prob = np.stack([1 - share, share], axis=1)
        return {"label": prob.argmax(axis=1), "prob": prob}


def test_two_classes_have_an_auroc():
    counts = np.ones((8, len(GENES)), np.float32)
    counts[:, 0] = np.arange(8)
    label = np.array([0, 0, 1, 0, 1, 1, 0, 1])
    rows, _ = measured(TwoClasses(), LabelledCells(Placed(counts, ALL, 1.0), ("no", "yes"), label))
    # of 16 pairs, 4 are the wrong way round: (2;3), (2;6), (4;6), (5;6)
    assert rows["set.model.auroc"].value == 12 / 16
    assert rows["set.model.average_precision"].value == pytest.approx(
        (1 + 2 / 3 + 3 / 4 + 4 / 6) / 4, abs=1e-4
    )
    assert rows["set.model.balanced_accuracy"].value == pytest.approx((1 / 4 + 3 / 4) / 2, abs=0.3)


# -- embeddings ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Encoder:
    """Gives prepared outputs; `imputed` is what the cell had, times a factor."""

    answers: dict
    output_names: tuple[str, ...] = ("embedding",)
    labels: tuple[str, ...] = ()
    thresholds: Thresholds = THRESHOLDS
    graph_recipe: None = None
    vocabulary: GeneVocabulary = VOCABULARY

    def ask(self, placed, outputs=None):
        return {name: self.answers[name] for name in outputs or self.output_names}


def test_an_embedding_that_separates_labels_and_mixes_groups():
    label, group = np.arange(60) % 3, np.arange(60) // 3 % 2
    cells = cells_of(labels=("a", "b", "c"), label=label, groups=("x", "y"), group=group)
    points = np.eye(3)[label] * 10 + np.random.default_rng(0).normal(size=(60, 3)) * 0.1
    rows, _ = measured(Encoder({"embedding": points}), cells)
    assert rows["set.model.ari_kmeans"].value == 1
    assert rows["set.model.knn_label_accuracy"].value == 1
    assert rows["set.model.label_transfer"].value == 1
    assert rows["set.model.batch_mixing"].value == pytest.approx(1, abs=0.15)
    assert "set.pca32_refit.ari_kmeans" in rows


def test_an_embedding_of_the_batch_alone():
    label, group = np.arange(60) % 3, np.arange(60) // 3 % 2
    cells = cells_of(labels=("a", "b", "c"), label=label, groups=("x", "y"), group=group)
    points = group[:, None] * 10.0 + np.random.default_rng(0).normal(size=(60, 2)) * 0.1
    rows, _ = measured(Encoder({"embedding": points}), cells)
    assert rows["set.model.batch_mixing"].value == 0
    assert rows["set.model.ari_kmeans"].value < 0.2


def test_clusters_of_the_graph():
    subject = Encoder({"cluster": np.arange(60) % 3}, ("cluster",))
    rows, _ = measured(subject, cells_of())
    assert rows["set.model.ari_cluster"].value == 1
    assert (rows["set.model.clusters"].value, rows["set.model.clusters"].interval) == (3, None)


def test_reconstruction_errors():
    subject = Encoder(
        {"recon_error": np.arange(60.0), "ood_p": np.ones(60)}, ("recon_error", "ood_p")
    )
    rows, _ = measured(subject, cells_of())
    assert rows["set.model.median_recon_error"].value == 29.5
    assert rows["set.model.ood_p_below_0-05"].value == 0


# -- imputation ----------------------------------------------------------------------------------


def test_hidden_entries_that_are_known_are_right():
    cells = cells_of(200)
    subject = Encoder({"imputed": cells.placed.counts}, ("imputed",))
    rows, _ = measured(subject, cells)
    assert rows["set.model.median_l1"].value == 0
    assert rows["set.model.mse"].value == 0
    assert rows["set.model.cosine"].value == pytest.approx(1, abs=1e-5)
    assert "hidden" in rows["set.model.mse"].condition
    for method in ("gene_mean_refit", "gene_mean_log_refit", "knn_smoothing", "knn_smoothing_log"):
        assert rows[f"set.{method}.mse"].value > 0


def test_means_of_the_training_cells_are_scaled_to_the_genes_that_are_there():
    """Every gene is a sixth of each cell; where half are missing, each is a third."""
    counts = np.full((40, len(GENES)), 200, np.float32)
    baselines = TrainedBaselines.of(LabelledCells(Placed(counts, ALL, 1.0)), ("counts",))
    present = np.array([1, 1, 1, 0, 0, 0], np.float32)
    few = LabelledCells(Placed(counts * present, present, 0.5))
    rows, _ = measured(Encoder({"imputed": counts}, ("imputed",)), few, baselines)
    assert rows["set.model.median_l1"].value < 0.6  # a hidden entry makes the others weigh more
    for method in ("gene_mean", "gene_mean_log"):
        assert rows[f"set.{method}.median_l1"].value < 0.6


def test_one_tenth_of_the_nonzero_entries_is_hidden_and_the_totals_are_kept():
    cells = cells_of(500)
    seen = []

    class Spy(Encoder):
        def ask(self, placed, outputs=None):
            seen.append(placed)
            return super().ask(placed, outputs)

    measured(Spy({"imputed": cells.placed.counts}, ("imputed",)), cells)
    (placed,) = seen
    truth = cells.placed.counts
    hidden = (truth > 0) & (placed.counts == 0)
    assert hidden.sum() / (truth > 0).sum() == pytest.approx(0.1, abs=0.02)
    assert (placed.counts[~hidden] == truth[~hidden]).all()
    np.testing.assert_array_equal(placed.total_counts, cells.placed.total_counts)


def test_imputation_by_hand():
    """Half of the truth is log 2 too little, whatever a cell's counts are scaled by."""
    counts = np.full((40, len(GENES)), 20, np.float32)
    cells = LabelledCells(Placed(counts, ALL, 1.0))
    rows, _ = measured(Encoder({"imputed": counts / 2}, ("imputed",)), cells)
    assert rows["set.model.median_l1"].value == pytest.approx(np.log(2), abs=1e-3)
    assert rows["set.model.mse"].value == pytest.approx(np.log(2) ** 2, abs=1e-3)
    rows, _ = measured(Encoder({"imputed": counts * 0}, ("imputed",)), cells)
    assert rows["set.model.cosine"].value == 0


# -- disturbances --------------------------------------------------------------------------------


def test_steps_carry_the_counts_over_all_genes():
    placed = cells_of(50).placed
    for condition in ("thinning", "dropout", "genes_removed", "gene_lists", "few_counts"):
        for step in steps(condition, placed, ALL / len(GENES), seed=0):
            assert step.placed.counts.shape == placed.counts.shape
            assert (step.placed.counts <= placed.counts).all()
            lost = placed.counts.sum() - step.placed.counts.sum()
            others = placed.total_counts.sum() - step.placed.total_counts.sum()
            assert others >= lost - 1e-3
            if condition in ("dropout", "genes_removed", "gene_lists"):
                assert others == pytest.approx(lost)
            if condition in ("genes_removed", "gene_lists"):
                assert step.placed.coverage == pytest.approx(step.placed.present.mean())
                assert not step.placed.counts[:, step.placed.present == 0].any()
    half = next(steps("thinning", placed, ALL / len(GENES), seed=0)).placed
    assert half.counts.sum() / placed.counts.sum() == pytest.approx(0.5, abs=0.05)
    assert half.total_counts.sum() / placed.total_counts.sum() == pytest.approx(0.5, abs=0.05)


def test_the_same_seed_gives_the_same_steps():
    placed = cells_of(20).placed
    for condition in ("thinning", "dropout", "gene_lists"):
        once, again, other = (
            [step.placed.counts for step in steps(condition, placed, ALL / 6, seed)]
            for seed in (0, 0, 1)
        )
        assert all((a == b).all() for a, b in zip(once, again, strict=True))
        assert any((a != b).any() for a, b in zip(once, other, strict=True))


def test_rows_of_a_disturbance(tiny):
    into = Measurements(0)
    measure_conditions(tiny, cells_of(), SETTING, ["dropout"], into)
    rows = {row.id: row for row in into.rows}
    assert rows["set-dropout-0-5.model.accuracy"].role == "robustness"
    assert rows["set-dropout-0-5.model.accuracy"].condition.startswith("all cells; 50% of the")
    assert rows["set-dropout-0-75.model.accuracy"].value < 1
    assert not [row for row in into.rows if row.metric.startswith("recall")]


def test_molecules_cannot_be_taken_from_intensities(tiny):
    placed = replace(cells_of().placed, counts=cells_of().placed.counts + 0.3)
    with pytest.raises(UnsuitableCondition, match="these values are intensities"):
        list(steps("thinning", placed, ALL / 6, 0))
    assert list(steps("dropout", placed, ALL / 6, 0))


def test_a_model_folder_says_what_it_takes(tiny):
    assert tiny.labels == LABELS
    assert tiny.value_kinds == ("counts",)
    assert tiny.graph_recipe is None
    assert tiny.label_table is not None
    assert isinstance(tiny.thresholds, Thresholds)
    assert Path(tiny.parts.origin.removeprefix("file:")).name == "tiny"
