from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_engine import install
from ran import Ran

from zoo.cache import Cache
from zoo.checkout import Checkout
from zoo.container.engine import Engine
from zoo.doctor.engines import judge_engine, of_engines
from zoo.doctor.graphics import judge_gpu, read_smi
from zoo.doctor.installation import judge_extras, judge_runtime
from zoo.doctor.places import judge_cache, of_models, of_staging
from zoo.gpu import Fit
from zoo.settings import Settings
from zoo.staging import staging_path

Zoo = Callable[..., Ran]

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture(autouse=True)
def _engine(checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine of no test is this machine's."""
    install(tmp_path / "bin", ("docker",), monkeypatch)


# -- the command ---------------------------------------------------------------------------------


def test_a_sound_machine(run_zoo: Zoo) -> None:
    told = run_zoo("doctor", "--json").json
    assert told["sound"] is True
    topics = [finding["topic"] for finding in told["findings"]]
    assert topics == [*("python", "runtime", "gpu", "engine", "cache", "models", "hubs", "extras")]
    assert {finding["level"] for finding in told["findings"]} <= {"ok", "warn"}
    ran = run_zoo("doctor")
    assert ran.code == 0
    assert "ok    engine  docker 20.10.24 answers; it has no image of CellZoo" in ran.out
    assert "→ Make one with 'zoo image build runner'" in ran.out
    assert "All that a run needs is here." in ran.out


def test_a_damaged_cache_is_told_and_ends_with_1(run_zoo: Zoo, settings: Settings) -> None:
    run_zoo("pull", "tiny")
    next(iter(settings.cache.glob("sha256/??/*"))).write_bytes(b"x")
    ran = run_zoo("doctor")
    assert ran.code == 1
    assert "fail  cache" in ran.out
    assert "damaged or missing: sha256/" in ran.out
    assert (
        "→ 'zoo cache prune' removes what is damaged; 'zoo pull NAME' fetches it again." in ran.out
    )
    assert "1 thing(s) to mend" in ran.out
    assert run_zoo("doctor", "--json").code == 1


def test_nothing_is_made(run_zoo: Zoo, settings: Settings) -> None:
    run_zoo("doctor")
    assert not settings.cache.exists()


# -- the runtime ---------------------------------------------------------------------------------


def test_two_runtimes_over_each_other() -> None:
    both = {"onnxruntime": "1.31.0", "onnxruntime-gpu": "1.31.0"}
    finding = judge_runtime(both, ("1.31.0", [CPU]))
    assert finding.level == "fail"
    assert "onnxruntime 1.31.0 and onnxruntime-gpu 1.31.0 lie over each other" in finding.message
    assert finding.remedy.startswith(
        "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu"
    )


def test_a_runtime_that_works_and_one_that_does_not() -> None:
    works = judge_runtime({"onnxruntime": "1.31.0"}, ("1.31.0", [CUDA, CPU]))
    assert (works.level, works.message) == ("ok", "onnxruntime 1.31.0 with CUDA, CPU")
    broken = judge_runtime({"onnxruntime": "1.31.0"}, None, "ImportError: libcudart")
    assert (broken.level, "libcudart" in broken.message) == ("fail", True)
    assert judge_runtime({}, None, "No module").remedy.endswith("pip install onnxruntime.")


def test_extras() -> None:
    finding = judge_extras({"report"})
    assert finding.message == "installed: report"
    assert "pip install 'cellzoo[NAME]': anndata (" in finding.remedy
    assert judge_extras([]).message == "installed: none"


# -- the GPU -------------------------------------------------------------------------------------


def test_no_gpu() -> None:
    assert judge_gpu(Fit(None, None), [], has_cuda=False).level == "ok"
    assert judge_gpu(Fit(None, (13, 0)), [], has_cuda=True).level == "warn"


def test_which_image_suits_which_driver() -> None:
    new = judge_gpu(Fit("580.95.05", (13, 0)), ["NVIDIA A100"], has_cuda=True)
    assert (new.level, new.message) == ("ok", "NVIDIA A100, driver 580.95.05 offers CUDA 13.0")
    assert "cellzoo/runner-gpu (CUDA 13.0) suits this driver" in new.remedy
    old = judge_gpu(Fit("550.54.14", (13, 0)), [], has_cuda=True)
    assert old.level == "fail"
    assert "needs CUDA 13.0, and the driver 550.54.14 offers CUDA 12.4" in old.message
    assert "needs CUDA 13.0, so a driver 580 or newer" in old.remedy
    unused = judge_gpu(Fit("580.1", None), [], has_cuda=False)
    assert (unused.level, "pip install onnxruntime-gpu" in unused.remedy) == ("warn", True)
    assert "offers CUDA unknown" in judge_gpu(Fit("1.2", None), [], has_cuda=False).message


def test_what_nvidia_smi_prints() -> None:
    text = "550.54.14, NVIDIA A100-SXM4-80GB\n550.54.14, Tesla T4\n"
    assert read_smi(text, None) == ("550.54.14", ["NVIDIA A100-SXM4-80GB", "Tesla T4"])
    assert read_smi("", "550.1") == ("550.1", [])


# -- engines -------------------------------------------------------------------------------------


def test_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = judge_engine(Engine("docker", "28.0", rootless=True), ["cellzoo/runner:0.1.0"])
    assert finding.message == "docker 28.0 answers, without root; images: cellzoo/runner:0.1.0"
    fake = install(tmp_path / "more", ("docker", "podman", "apptainer"), monkeypatch)
    assert [finding.level for finding in of_engines()] == ["ok", "ok", "ok"]
    fake.answers(version=[1, "", "Cannot connect to the Docker daemon\n"])
    (first, *_) = of_engines()
    assert (first.level, "'docker' does not answer" in first.message) == ("warn", True)
    monkeypatch.setenv("PATH", "/nowhere")
    assert "no container engine is installed" in of_engines()[0].message


# -- places --------------------------------------------------------------------------------------


def test_caches() -> None:
    assert judge_cache("here", [], writable=True, free=10**12).level == "ok"
    assert judge_cache("here", [], writable=True, free=10).level == "warn"
    assert "ZOO_CACHE" in judge_cache("here", [], writable=False, free=10**12).remedy
    without = judge_cache("here", [], writable=False, free=10**12, has_shelves=True)
    assert without.level == "warn"
    assert without.remedy.startswith("Models in ZOO_MODELS run without it.")
    assert judge_cache("here", list("abcd"), writable=True, free=10**12).message.endswith("b, c, …")


def test_what_a_broken_off_pull_left(settings: Settings, run_zoo: Zoo) -> None:
    assert of_staging(settings) is None
    path = staging_path(Cache(settings.cache).blob_path("a" * 64))
    path = path.with_name(path.name.replace(f"-{os.getpid()}-", "-4194999-"))
    path.parent.mkdir(parents=True)
    path.touch()
    finding = of_staging(settings)
    assert finding is not None
    assert (finding.level, "zoo cache prune" in finding.remedy) == ("warn", True)
    run_zoo("cache", "prune")
    assert of_staging(settings) is None


def test_shelves(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = Settings(settings.cache, models=(tmp_path / "empty",))
    assert of_models(empty).level == "warn"
    assert of_models(Settings(settings.cache, models=(tmp_path / "no",))).level == "fail"
    assert of_models(settings).message == "1 in the registry, 0 from bundles"
