"""Python, the packages, and whether two builds of onnxruntime lie over each other."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from zoo.doctor.finding import Finding
from zoo.session import runtime_facts
from zoo.version import __version__

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
_OLDEST_PYTHON = (3, 11)

# Extra → what only it brings, by the name of the module, and what it is for.
_EXTRAS: dict[str, tuple[str, str]] = {
    "anndata": ("anndata", "AnnData objects in Python"),
    "parquet": ("pyarrow", "zoo run -o OUT.parquet"),
    "zarr": ("zarr", "reading .zarr"),
    "report": ("jinja2", "zoo report"),
    "hub": ("huggingface_hub", "model cards as files"),
    "calibrate": ("onnx", "zoo calibrate"),
    "evaluate": ("sklearn", "zoo evaluate"),
    "train": ("torch", "zoo train"),
}


def of_python() -> Finding:
    """The interpreter, the platform and CellZoo's own version."""
    message = (
        f"cellzoo {__version__} on Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}"
    )
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return Finding("python", "fail", message, "CellZoo needs Python 3.11 or newer.")
    return Finding("python", "ok", message)


def of_runtime() -> Finding:
    """What ONNX Runtime is installed, and whether it works."""
    installed = {name: found for name in RUNTIMES if (found := _version(name))}
    try:
        works = runtime_facts()
    except Exception as error:  # a broken build fails in many ways at import
        return judge_runtime(installed, None, f"{type(error).__name__}: {error}")
    return judge_runtime(installed, works)


def judge_runtime(
    installed: Mapping[str, str], works: tuple[str, Iterable[str]] | None, reason: str = ""
) -> Finding:
    """Judge the installed distributions, and what importing them gave or the reason it failed."""
    repair = "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install"
    named = " and ".join(f"{name} {number}" for name, number in installed.items())
    if len(installed) > 1:
        message = f"{named} lie over each other in one folder, which breaks both"
        return Finding(
            "runtime", "fail", message,
            f"{repair} onnxruntime-gpu for an NVIDIA GPU, or onnxruntime for the CPU.",
        )  # fmt: skip
    if works is None:
        return Finding(
            "runtime",
            "fail",
            f"onnxruntime cannot be imported ({reason})",
            f"{repair} onnxruntime.",
        )
    number, providers = works
    short = ", ".join(name.removesuffix("ExecutionProvider") for name in providers)
    return Finding("runtime", "ok", f"{named or f'onnxruntime {number}'} with {short}")


def of_extras() -> Finding:
    """Which optional parts are installed."""
    return judge_extras({name for name, (module, _) in _EXTRAS.items() if find_spec(module)})


def judge_extras(present: Iterable[str]) -> Finding:
    """Say which extras there are, and how to get the others; none is a fault."""
    there = set(present)
    missing = [f"{name} ({use})" for name, (_, use) in _EXTRAS.items() if name not in there]
    message = f"installed: {', '.join(sorted(there)) or 'none'}"
    remedy = f"If you need it, pip install 'cellzoo[NAME]': {', '.join(missing)}." * bool(missing)
    return Finding("extras", "ok", message, remedy)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
