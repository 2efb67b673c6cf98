"""The graph of pbmc-celltype: what holds whatever the weights are."""

import pytest

torch = pytest.importorskip("torch")

from dataclasses import fields  # noqa: E402

from converters.celltype.confidence import OUTPUTS, CellTypeModel, Tables  # noqa: E402
from converters.celltype.fitting import fit_model  # noqa: E402
from converters.celltype.labelled_counts import LabelledCounts  # noqa: E402
from converters.celltype.recipe import CellTypeSettings  # noqa: E402
from converters.celltype.train import train  # noqa: E402
from converters.fit_run import FitRun  # noqa: E402

GENES, CLASSES = 60, 3
NAMES = [output.name for output in OUTPUTS]
SETTINGS = CellTypeSettings(
    members=2,
    hidden=16,
    embedding=4,
    epochs=3,
    steps_per_epoch=20,
    batch=32,
    dropout=0.1,
    dominant_share=0.2,
    smallest_fraction=0.5,
)


def cells(count: int, seed: int) -> LabelledCounts:
    """Poisson counts; gene i is four times as high in class i modulo 3."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    rate = torch.ones(count, GENES) * 2
    rate[torch.arange(GENES)[None, :] % CLASSES == labels[:, None]] = 8
    return LabelledCounts(torch.poisson(rate, generator=generator), labels)


@pytest.fixture(scope="module")
def model() -> CellTypeModel:
    torch.set_num_threads(1)
    training, held_out = cells(240, 0), cells(120, 1)
    return fit_model(training, held_out, CLASSES, SETTINGS, FitRun(0))


def run(model, counts, present=None):
    present = torch.ones(GENES) if present is None else present
    with torch.no_grad():
        return dict(zip(NAMES, model(counts, present), strict=True))


def test_learns_what_it_is_taught(model):
    test = cells(90, 2)
    answers = run(model, test.counts)
    assert (answers["label"] == test.labels).float().mean() > 0.95


@pytest.mark.parametrize("factor", [0.3, 7.0])
def test_scale_of_a_cell_does_not_matter(model, factor):
    counts = cells(60, 3).counts
    plain, scaled = run(model, counts), run(model, counts * factor)
    assert torch.equal(plain["label"], scaled["label"])
    assert torch.equal(plain["in_set"], scaled["in_set"])
    torch.testing.assert_close(plain["prob"], scaled["prob"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(plain["embedding"], scaled["embedding"], atol=1e-4, rtol=1e-4)


def test_counts_of_an_absent_gene_are_ignored(model):
    counts = cells(30, 4).counts
    present = torch.ones(GENES)
    present[::2] = 0
    answers, garbled = run(model, counts, present), run(model, counts + 99 * (1 - present), present)
    torch.testing.assert_close(answers["prob"], garbled["prob"])


def test_absent_genes_enter_as_the_training_mean(model):
    present = torch.zeros(GENES)
    z = model.network.normalization(cells(5, 5).counts, present)
    assert torch.equal(z, torch.zeros(5, GENES))


def test_panel_sum_is_held_against_the_genes_that_are_there(model):
    training = cells(240, 0).counts
    present = torch.ones(GENES)
    present[: GENES // 2] = 0
    full = model.network.normalization(training, torch.ones(GENES))
    part = model.network.normalization(training, present)
    kept = present.bool()
    assert (full[:, kept].mean(dim=0) - part[:, kept].mean(dim=0)).abs().max() < 0.1


def test_half_the_genes_are_enough(model):
    test = cells(90, 6)
    present = (torch.arange(GENES) < GENES // 2).float()
    assert (run(model, test.counts, present)["label"] == test.labels).float().mean() > 0.8


@pytest.mark.parametrize("present", [0.0, 1.0])
def test_cells_without_counts_give_finite_numbers(model, present):
    answers = run(model, torch.zeros(1, GENES), torch.full((GENES,), present))
    assert all(torch.isfinite(value.float()).all() for value in answers.values())


def test_p_values_keep_their_bounds_and_their_promise(model):
    test = cells(300, 7)
    answers = run(model, test.counts)
    for name in ("conformal_p", "ood_p"):
        assert answers[name].min() > 0
        assert answers[name].max() <= 1
    assert torch.equal(answers["in_set"], answers["conformal_p"] > SETTINGS.alpha)
    covered = answers["in_set"][torch.arange(300), test.labels].float().mean()
    assert 0.8 < covered < 0.97
    assert (answers["ood_p"] < 0.05).float().mean() < 0.15


def test_cells_like_none_of_the_classes_are_out(model):
    counts = torch.zeros(20, GENES)
    counts[:, :4] = 100
    assert (run(model, counts)["ood_p"] < 0.05).float().mean() > 0.8


def test_the_level_nearest_to_the_gene_coverage_is_taken(model):
    confidence = model.confidence
    order = confidence.gene_weight.argsort(descending=True)
    reached = torch.cumsum(confidence.gene_weight[order], dim=0)
    present = torch.zeros(GENES)
    present[order[: int((reached < 0.4).sum()) + 1]] = 1
    assert confidence.levels[confidence.level(present)].item() == pytest.approx(0.4)
    assert confidence.levels[confidence.level(torch.zeros(GENES))].item() == pytest.approx(0.05)


def test_seeds_repeat_a_training(model):
    training = cells(240, 0)
    again = train(training, classes=CLASSES, settings=SETTINGS, run=FitRun(0))
    assert torch.equal(again.ensemble.w1, model.network.ensemble.w1)


def test_fitted_models_are_kept_as_plain_tensors(model, tmp_path):
    from converters.celltype.fitting import load, save

    save(tmp_path / "seed.pt", model, 1.5)
    back, seconds = load(tmp_path / "seed.pt", SETTINGS)
    counts = cells(9, 8).counts
    for name, value in run(model, counts).items():
        assert torch.equal(value, run(back, counts)[name]), name
    assert seconds == 1.5
    kept = dict(back.confidence.named_buffers())
    assert {field.name for field in fields(Tables)} <= set(kept)
