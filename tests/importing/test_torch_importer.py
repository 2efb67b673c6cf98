"""torch: state dicts as data, and live modules in the caller's own Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_cells import GENES, LABELS, make_cells
from ran import Ran

torch = pytest.importorskip("torch")
nn = torch.nn

from converters.importing.torch_importer import TorchModule  # noqa: E402
from zoo.errors import UnequalLengths, UnsupportedWeights  # noqa: E402
from zoo.importers import ConvertRequest  # noqa: E402
from zoo.parity import sample_outputs  # noqa: E402
from zoo.parts import ModelParts  # noqa: E402
from zoo.pull import in_place  # noqa: E402

Zoo = Callable[..., Ran]
LAYERS = 'layers=["fc1", "bn", "relu", "fc2", "norm", "gelu", "out"]'


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.bn = nn.Linear(len(GENES), 16), nn.BatchNorm1d(16)
        self.fc2, self.norm = nn.Linear(16, 8, bias=False), nn.LayerNorm(8)
        self.out = nn.Linear(8, len(LABELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.fc1(x)))
        return self.out(nn.functional.gelu(self.norm(self.fc2(x))))


class Embedder(Net):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        z = torch.relu(self.bn(self.fc1(x)))
        scores = self.out(nn.functional.gelu(self.norm(self.fc2(z))))
        return {"scores": scores, "z": z}


def trained(kind: type[Net] = Net) -> Net:
    """A few steps, so that the batch statistics are those of the cells."""
    cells, net = make_cells(), kind()
    x = torch.from_numpy(cells.library_log1p.astype(np.float32))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(20):
        given = net(x)
        scores = given["scores"] if isinstance(given, dict) else given
        loss = nn.functional.cross_entropy(scores, torch.from_numpy(cells.label))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


@pytest.fixture
def names(tmp_path: Path) -> tuple[object, ...]:
    """Options that say what tensors cannot."""
    (tmp_path / "genes.txt").write_text("\n".join(GENES))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    return ("--genes", tmp_path / "genes.txt", "--labels", tmp_path / "labels.txt",
            "--values", "library_log1p")  # fmt: skip


@torch.no_grad()
def expected(net: nn.Module, x: np.ndarray) -> np.ndarray:
    given = net(torch.from_numpy(x.astype(np.float32)))
    return torch.softmax(given["scores"] if isinstance(given, dict) else given, dim=1).numpy()


@pytest.mark.parametrize("inside", [False, True], ids=["plain", "in a checkpoint"])
def test_a_state_dict_gives_the_answers_of_torch(
    run_zoo: Zoo, tmp_path: Path, names: tuple[object, ...], inside: bool
) -> None:
    net = trained()
    content = net.state_dict()
    torch.save({"state_dict": content, "epoch": 3} if inside else content, tmp_path / "w.pt")
    command = ("convert", "torch", tmp_path / "w.pt", "-o", tmp_path / "model", *names)
    ran = run_zoo(*command, "--set", LAYERS)
    assert ran.code == 0, ran.err
    parts = ModelParts.of(in_place(tmp_path / "model"))
    fresh = make_cells(50, seed=3)
    given = sample_outputs(parts, fresh.write(tmp_path / "cells.h5ad"))
    assert np.abs(given["prob"] - expected(net, fresh.library_log1p)).max() < 1e-5
    assert parts.card.imported.reference.startswith("torch ")


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_what_is_refused(run_zoo: Zoo, tmp_path: Path, names: tuple[object, ...]) -> None:
    net = trained()
    path = tmp_path / "w.pt"
    command = ("convert", "torch", path, "-o", tmp_path / "model", *names)

    def refused(code: int, told: str, *options: object) -> None:
        ran = run_zoo(*command, *options)
        assert ran.code == code, ran.err
        assert told in ran.err
        assert not (tmp_path / "model").exists()

    torch.save(net.state_dict(), path)
    refused(2, "what lies between them")
    refused(3, "layers that 'layers' does not name: bn", "--set", 'layers=["fc1", "out"]')
    refused(3, "has no 'sine'", "--set", LAYERS.replace("relu", "sine"))
    wrong = 'layers=["fc2", "bn", "relu", "fc1", "norm", "gelu", "out"]'
    refused(3, "8 outputs before it, but 16 inputs of bn", "--set", wrong)
    (tmp_path / "genes.txt").write_text("\n".join(GENES[:30]))
    refused(3, "30 genes, but 40 inputs of the network", "--set", LAYERS)
    (tmp_path / "genes.txt").write_text("\n".join(GENES))
    with torch.no_grad():
        net.fc1.bias[3] = torch.nan
    torch.save(net.state_dict(), path)
    refused(3, "1 number(s) of 'fc1.bias'", "--set", LAYERS)
    torch.save(nn.Sequential(nn.Linear(40, 3)), path)
    refused(5, "'torch.nn.modules.container.Sequential'")
    torch.jit.script(nn.Linear(40, 3)).save(path)
    refused(3, "a TorchScript program")
    torch.save([1, 2], path)
    refused(3, "no tensors by name")
    path.write_bytes(b"no file of torch")
    refused(3, "cannot be read as 'torch' weights")


def test_an_export_archive_is_a_program(
    run_zoo: Zoo, tmp_path: Path, names: tuple[object, ...]
) -> None:
    program = torch.export.export(nn.Linear(40, 3), (torch.zeros(4, 40),))
    torch.export.save(program, tmp_path / "w.pt2")
    ran = run_zoo("convert", "torch", tmp_path / "w.pt2", "-o", tmp_path / "model", *names)
    assert ran.code == 3
    assert "a torch.export archive" in ran.err


@pytest.mark.slow
def test_a_live_module_with_an_embedding(tmp_path: Path) -> None:
    net = trained(Embedder)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    (tmp_path / "genes.txt").write_text("\n".join(GENES))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    request = ConvertRequest(
        source=tmp_path / "w.pt",
        output=tmp_path / "model",
        genes=tmp_path / "genes.txt",
        labels=tmp_path / "labels.txt",
        values="library_log1p",
        settings={"outputs": {"scores": "scores", "embedding": "z"}},
    )
    TorchModule(net).convert(request, print)
    parts = ModelParts.of(in_place(tmp_path / "model"))
    fresh = make_cells(50, seed=3)
    given = sample_outputs(parts, fresh.write(tmp_path / "cells.h5ad"))
    assert np.abs(given["prob"] - expected(net, fresh.library_log1p)).max() < 1e-5
    assert given["embedding"].shape == (50, 16)


def test_a_live_module_of_another_width(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"weights")
    (tmp_path / "genes.txt").write_text("\n".join(GENES[:7]))
    request = ConvertRequest(
        source=tmp_path / "w.pt",
        output=tmp_path / "model",
        genes=tmp_path / "genes.txt",
        values="counts",
    )
    with pytest.raises((UnequalLengths, UnsupportedWeights), match="40"):
        TorchModule(trained()).convert(request, print)
