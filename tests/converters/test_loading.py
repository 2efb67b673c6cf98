"""The loader's batches as torch tensors."""

import pytest

torch = pytest.importorskip("torch")

from counts_file import make_adata  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from converters.loading import TorchLoader  # noqa: E402
from zoo.data import Loader  # noqa: E402


def test_tensors_of_every_cell():
    loader = TorchLoader(Loader(make_adata(90), split=None, label="cluster", batch_size=32))
    batches = list(DataLoader(loader, batch_size=None))
    assert [len(batch["rows"]) for batch in batches] == [32, 32, 26]
    assert batches[0]["counts"].dtype == torch.float32
    assert batches[0]["label"].dtype == torch.int64
    assert "batch" not in batches[0]
    assert sorted(torch.cat([batch["rows"] for batch in batches]).tolist()) == list(range(90))
    assert len(loader) == 3


def test_each_epoch_has_its_own_order():
    loader = TorchLoader(Loader(make_adata(90), split=None))
    first, second = (torch.cat([batch["rows"] for batch in loader]) for _ in range(2))
    assert not torch.equal(first, second)


def test_workers_are_refused(monkeypatch):
    monkeypatch.setattr("converters.loading.get_worker_info", lambda: object())
    with pytest.raises(RuntimeError, match="num_workers=0"):
        list(TorchLoader(Loader(make_adata(20), split=None)))
