"""The GPU image, where there is a GPU; it has not run anywhere yet."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from spoken import docker, has_image, zoo

from zoo.version import __version__

ROOT = Path(__file__).parents[2]
IMAGE = f"cellzoo/runner-gpu:{__version__}"
MODEL = "pbmc-celltype"

pytestmark = pytest.mark.docker


@pytest.fixture
def gpu_image(engine: str) -> str:
    if shutil.which("nvidia-smi") is None or not Path("/proc/driver/nvidia/version").exists():
        pytest.skip("no NVIDIA GPU is here: the GPU image was not run")
    if not has_image(IMAGE):
        pytest.skip(f"{IMAGE} is not here: make it with 'zoo image build runner-gpu' (gigabytes)")
    return IMAGE


def test_the_gpu_image_agrees_with_the_cpu(gpu_image: str, tmp_path: Path) -> None:
    import h5py
    import numpy as np

    sample = ROOT / "cards" / MODEL / "sample.h5ad"
    shutil.copyfile(sample, tmp_path / "x.h5ad")
    docker("run", "--rm", "--gpus", "all", "--network", "none", "-v", f"{tmp_path}:/data",
           "-v", f"{ROOT / 'cards'}:/models:ro", "--user", "0:0", gpu_image, "run", MODEL,
           "x.h5ad", "--device", "cuda", "-o", "gpu.h5ad")  # fmt: skip
    zoo("run", MODEL, sample, "--device", "cpu", "-o", tmp_path / "cpu.h5ad", cache=tmp_path / "c")
    with h5py.File(tmp_path / "gpu.h5ad") as gpu, h5py.File(tmp_path / "cpu.h5ad") as cpu:
        for name in ("prob", "ood_z"):
            np.testing.assert_allclose(gpu[f"obs/{name}"][()], cpu[f"obs/{name}"][()], atol=1e-3)
