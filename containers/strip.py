"""Steps of the runner's build: what is installed, what is left out of it, and whether it imports.

strip.py requirements PYPROJECT [WITHOUT]
                                  print the dependencies that pyproject.toml names, but one
strip.py strip                    remove what `zoo run` never opens from this environment
strip.py imports                  import every module that is left

The list below is explicit: a rule such as "every folder called testing" broke packages that import
theirs. An entry that matches nothing is no mistake; the next version of a package may lack it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import sys
import sysconfig
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = (
    # The recipes need torch: trainer.Dockerfile has them.
    "converters",
    # What images are built from.
    "zoo/embedded/source",
    # ONNX Runtime: a second copy of the library, for programs in C, and tools that write models.
    "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/datasets",
    "onnxruntime/backend",
    # NumPy: building extensions, and tests.
    "numpy/f2py",
    "numpy/distutils",
    "numpy/_pyinstaller",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/*/tests",
    "numpy/tests",
    "numpy/conftest.py",
    "numpy/**/*.pyi",
    "numpy/**/*.pxd",
    # h5py: tests.
    "h5py/tests",
    # rich: colours for source code, which CellZoo never prints.
    "pygments/lexers/[a-z]*",
    "pygments/lexers/__pycache__/[a-z]*",
)
# Modules that `zoo run` never misses: parts of another system, and of a package's own build.
OTHERWISE = (
    "onnxruntime.capi.libonnxruntime_providers_shared", "h5py.ipy_completer", "click._winconsole",
    "rich._win32_console", "rich._windows_renderer", "numpy._core.cversions",
)  # fmt: skip
# What modules for type checkers and tests need, what is left out above, and hubs of extras.
NOT_HERE = {"mypy", "hypothesis", "pytest", "numpy.f2py", "huggingface_hub", "fsspec"}
PACKAGES = ("zoo", "numpy", "h5py", "onnxruntime", "click", "pydantic", "platformdirs", "rich")


def requirements(pyproject: Path, without: str = "") -> list[str]:
    """The dependencies of a project, without its extras and one that is named."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return [line for line in project["dependencies"] if re.split(r"[<>=!~ \[]", line)[0] != without]


def strip(site: Path, scripts: Path) -> None:
    """Remove what is left out, each with its compiled form, and all programs but two."""
    for pattern in LEFT_OUT:
        for path in list(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in scripts.iterdir():
        if not path.name.startswith(("python", "zoo")):
            path.unlink()


def modules() -> Iterator[str]:
    """Every module of the packages that `zoo run` imports from."""
    for package in PACKAGES:
        yield package
        path = importlib.import_module(package).__path__
        for found in pkgutil.walk_packages(path, f"{package}.", onerror=lambda _: None):
            if not found.name.startswith(OTHERWISE) and not found.name.endswith("__main__"):
                yield found.name


def failures() -> dict[str, str]:
    """Module → why it cannot be imported, without those that need an extra."""
    failed = {}
    for name in modules():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in NOT_HERE:
                failed[name] = str(error)
        except Exception as error:
            failed[name] = repr(error)
    return failed


def main(words: list[str]) -> int:
    """One step of the build."""
    if words[0] == "requirements":
        print("\n".join(requirements(Path(words[1]), *words[2:])))
    elif words[0] == "strip":
        strip(Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("scripts")))
    else:
        warnings.simplefilter("ignore")
        failed = failures()
        for name, reason in failed.items():
            print(f"{name}: {reason}", file=sys.stderr)
        return int(bool(failed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
