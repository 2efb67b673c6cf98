"""Augmentation: statistics of what it takes and adds."""

import pytest

torch = pytest.importorskip("torch")

from converters.augment import (  # noqa: E402
    gene_gains,
    log_uniform,
    panel_of_coverage,
    panel_of_size,
    panel_order,
    thin,
    with_ambient,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_thinning_keeps_the_share_and_never_adds(generator):
    counts = torch.full((200, 50), 20.0)
    thinned = thin(counts, torch.full((200, 1), 0.25), generator)
    assert (thinned <= counts).all()
    assert torch.equal(thinned, thinned.round())
    assert thinned.mean().item() == pytest.approx(5, rel=0.02)
    assert thinned.var().item() == pytest.approx(20 * 0.25 * 0.75, rel=0.05)


def test_thinning_by_one_changes_nothing(generator):
    counts = torch.poisson(torch.full((10, 30), 3.0), generator=generator)
    assert torch.equal(thin(counts, torch.ones(10, 1), generator), counts)


def test_gains_are_log_normal_and_lose_a_share(generator):
    gains = gene_gains(20_000, 0.5, generator, dead_share=0.1)
    assert (gains == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert gains[gains > 0].log().std().item() == pytest.approx(0.5, abs=0.02)


def test_gene_lists_have_the_size_or_the_coverage_asked_for(generator):
    order = panel_order(torch.zeros(100), 0.0, generator)
    assert sorted(order.tolist()) == list(range(100))
    assert panel_of_size(order, 30).sum() == 30
    weight = torch.rand(100, generator=generator)
    weight /= weight.sum()
    present = panel_of_coverage(order, weight, 0.4)
    assert 0.4 <= float(present @ weight) < 0.4 + float(weight.max())


def test_tilted_gene_lists_favour_salient_genes(generator):
    salience = torch.linspace(-2, 2, 400)
    lists = [panel_of_size(panel_order(salience, 2.0, generator), 40) for _ in range(20)]
    assert torch.stack(lists).mean(dim=0)[300:].mean() > 0.3


def test_ambient_molecules_follow_the_mean_cell(generator):
    counts = torch.zeros(2000, 2)
    counts[:1000, 0], counts[1000:, 1] = 100, 300
    dirty = with_ambient(counts, 0.2, generator)
    assert dirty[:1000, 0].mean() - 100 == pytest.approx(2.5, rel=0.2)
    assert dirty[:1000, 1].mean() == pytest.approx(7.5, rel=0.2)


def test_log_uniform_stays_in_its_range(generator):
    drawn = log_uniform(0.05, 1000, generator)
    assert drawn.min() >= 0.05 - 1e-6
    assert drawn.max() <= 1
    assert drawn.log().mean().item() == pytest.approx(-1.5, abs=0.1)
