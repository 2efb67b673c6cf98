from __future__ import annotations

from pathlib import Path

import pytest

from zoo import gpu, session
from zoo.errors import DeviceUnavailable
from zoo.gpu import Fit, cuda_in, cuda_of, driver_in, first_branch

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def test_the_driver_and_its_cuda() -> None:
    text = (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n"
        "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
    )
    opened = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n"
    assert driver_in(text) == "550.54.14"
    assert driver_in(opened.replace("x86_64  ", "")) == "580.95.05"
    assert driver_in("nothing") is None
    assert cuda_of("550.54.14") == (12, 4)
    assert cuda_of("599.1") == (13, 1)
    assert cuda_of("390.157") is None
    assert cuda_of("unknown") is None
    assert (first_branch((13, 0)), first_branch((12, 8)), first_branch((11, 8))) == (580, 525, 450)


def test_the_cuda_of_a_build() -> None:
    text = "package_name = 'onnxruntime-gpu'\n__version__ = '1.31.0'\ncuda_version = '13.0'\n"
    assert cuda_in(text) == (13, 0)
    assert cuda_in("package_name = 'onnxruntime'\n") is None


def test_whether_they_fit() -> None:
    assert Fit("580.95.05", (13, 0)).problem is None
    assert Fit("525.60", (12, 8)).problem is None, "minor versions are compatible"
    assert Fit("999.1", None).problem is None
    assert Fit("550.54.14", (13, 0)).problem == (
        "this build needs CUDA 13.0, and the driver 550.54.14 offers CUDA 12.4 (driver 580 or "
        "newer would do)"
    )
    assert "--gpus all" in str(Fit(None, (13, 0)).problem)


# -- what a run says -----------------------------------------------------------------------------


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.mark.parametrize(
    ("present", "fit", "chosen", "said"),
    [
        ([CUDA, CPU], Fit("580.1", (13, 0)), [CUDA, CPU], None),
        ([CPU], Fit(None, None), [CPU], None),
        ([CPU], Fit("580.1", None), [CPU], "no CUDA provider"),
        ([CUDA, CPU], Fit("550.1", (13, 0)), [CPU], "needs CUDA 13.0, and the driver 550.1 offers"),
        ([CUDA, CPU], Fit(None, (13, 0)), [CPU], "no NVIDIA driver is visible"),
    ],
)
def test_falling_back_to_the_cpu_is_one_line(
    present: list[str], fit: Fit, chosen: list[str], said: str | None, told: list[str]
) -> None:
    assert session._providers(present, "auto", fit, told.append) == chosen
    assert len(told) == (said is not None)
    if said:
        assert said in told[0]
        assert told[0].startswith("Running on the CPU: ")
        with pytest.raises(DeviceUnavailable, match=said):
            session._providers(present, "cuda", fit, told.append)
    assert session._providers(present, "cpu", fit, told.append) == [CPU]


def test_libraries_that_cannot_be_loaded(
    tiny_source: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: list[str],
) -> None:
    """A runtime that has the provider, and takes the CPU when it cannot load it."""
    import onnxruntime

    from zoo.parts import ModelParts
    from zoo.pull import in_place

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(gpu, "driver", lambda: "580.1")
    monkeypatch.setattr(gpu, "needed_cuda", lambda: (13, 0))
    monkeypatch.setattr(session, "_preload", lambda runtime: None)
    real = onnxruntime.InferenceSession

    def without_cuda(graph: bytes, options: object, providers: list[str]) -> object:
        return real(graph, options, providers=[CPU])

    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    parts = ModelParts.of(in_place(tiny_source))
    how = {"card": parts.card, "genes": parts.genes, "on_notice": told.append}
    assert session.Session.open(parts.graph, **how).device == "cpu"
    assert told == [
        "Running on the CPU: CUDA's libraries could not be loaded ('zoo doctor' looks for the "
        "cause)."
    ]
    with pytest.raises(DeviceUnavailable, match="could not be loaded"):
        session.Session.open(parts.graph, device="cuda", **how)


def test_what_is_here() -> None:
    """Reading this machine fails on none."""
    assert gpu.driver() is None or gpu.driver()
    assert gpu.needed_cuda() is None or gpu.needed_cuda()
