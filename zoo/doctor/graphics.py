"""The GPU: its driver, the CUDA that it offers and the one that the runtime needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

from zoo import gpu
from zoo.doctor.finding import Finding
from zoo.session import runtime_facts

_SMI = ("nvidia-smi", "--query-gpu=driver_version,name", "--format=csv,noheader")


def of_gpu() -> Finding:
    """Whether a GPU is here and used."""
    driver, names = gpu.driver(), list[str]()
    if shutil.which("nvidia-smi"):
        asked = subprocess.run(_SMI, capture_output=True, text=True, check=False, timeout=60)
        if asked.returncode == 0:
            driver, names = read_smi(asked.stdout, driver)
    try:
        has_cuda = "CUDAExecutionProvider" in runtime_facts()[1]
    except Exception:  # of_runtime tells it
        has_cuda = False
    return judge_gpu(gpu.Fit(driver, gpu.needed_cuda()), names, has_cuda=has_cuda)


def read_smi(text: str, driver: str | None) -> tuple[str | None, list[str]]:
    """Driver and names of GPUs from what `nvidia-smi` printed."""
    rows = [
        re.split(r",\s*", line.strip(), maxsplit=1) for line in text.splitlines() if "," in line
    ]
    return (rows[0][0] if rows else driver), [row[1] for row in rows]


def judge_gpu(fit: gpu.Fit, names: Sequence[str], *, has_cuda: bool) -> Finding:
    """Judge a driver and a build of the runtime."""
    if fit.driver is None:
        message = "no NVIDIA driver is here: models run on the CPU"
        if not has_cuda:
            return Finding("gpu", "ok", message)
        return Finding("gpu", "warn", f"{message}, though onnxruntime-gpu is installed")
    shown = f"{', '.join(names) or 'NVIDIA GPU'}, driver {fit.driver}"
    offered = gpu.written(fit.offered) if fit.offered else "unknown"
    message = f"{shown} offers CUDA {offered}"
    if has_cuda and fit.problem:
        return Finding("gpu", "fail", f"{message}; {fit.problem}", image_for(fit))
    if has_cuda:
        return Finding("gpu", "ok", message, image_for(fit))
    return Finding(
        "gpu", "warn", f"{message}, but this onnxruntime has no CUDA",
        "pip uninstall -y onnxruntime, then pip install onnxruntime-gpu. " + image_for(fit),
    )  # fmt: skip


def image_for(fit: gpu.Fit) -> str:
    """Which image suits the driver."""
    needed, branch = gpu.written(gpu.IMAGE_CUDA), gpu.first_branch(gpu.IMAGE_CUDA)
    if fit.offered is not None and fit.offered[0] >= gpu.IMAGE_CUDA[0]:
        return f"The image cellzoo/runner-gpu (CUDA {needed}) suits this driver."
    return (
        f"The image cellzoo/runner-gpu needs CUDA {needed}, so a driver {branch} or newer; with "
        "this one take the CPU image."
    )
