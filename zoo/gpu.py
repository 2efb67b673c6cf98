"""NVIDIA drivers and the CUDA that an ONNX Runtime was built for: do they fit?

A driver offers every CUDA up to a version. A build needs the first digit of its own CUDA or a newer
one ("minor version compatibility"), so a driver for 12.4 runs what was built with 12.8. Source:
NVIDIA, CUDA Toolkit Release Notes, "CUDA Driver" tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

Cuda = tuple[int, int]

IMAGE_CUDA: Cuda = (13, 0)
"""What the image `cellzoo/runner-gpu` is built with."""

_DRIVER_FILE = Path("/proc/driver/nvidia/version")
_BUILD_FILE = "onnxruntime/capi/build_and_package_info.py"

# First driver branch → the CUDA that it brings.
_BRANCHES: tuple[tuple[int, Cuda], ...] = (
    (590, (13, 1)), (580, (13, 0)), (575, (12, 9)), (570, (12, 8)), (565, (12, 7)),
    (560, (12, 6)), (555, (12, 5)), (550, (12, 4)), (545, (12, 3)), (535, (12, 2)),
    (530, (12, 1)), (525, (12, 0)), (520, (11, 8)), (515, (11, 7)), (510, (11, 6)),
    (495, (11, 5)), (470, (11, 4)), (465, (11, 3)), (460, (11, 2)), (455, (11, 1)),
    (450, (11, 0)),
)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """A driver and the CUDA that is wanted of it.

    Attributes
    ----------
    driver
        The driver's version; None where no driver is seen.
    needed
        The CUDA of the build; None where it does not say.

    """

    driver: str | None
    needed: Cuda | None

    @property
    def offered(self) -> Cuda | None:
        """The newest CUDA of the driver; None for one that is too old or not understood."""
        return cuda_of(self.driver) if self.driver else None

    @property
    def problem(self) -> str | None:
        """Why the GPU cannot be used, without the final stop; None where nothing speaks against."""
        if self.driver is None:
            return "no NVIDIA driver is visible (a container sees one with --gpus all)"
        if self.needed is None or self.offered is None or self.offered[0] >= self.needed[0]:
            return None
        return (
            f"this build needs CUDA {written(self.needed)}, and the driver {self.driver} offers "
            f"CUDA {written(self.offered)} (driver {first_branch(self.needed)} or newer would do)"
        )


def cuda_of(driver: str) -> Cuda | None:
    """The newest CUDA that a driver such as `550.54.14` offers."""
    match = re.match(r"\d+", driver)
    if match is None:
        return None
    return next((cuda for branch, cuda in _BRANCHES if int(match[0]) >= branch), None)


def first_branch(needed: Cuda) -> int:
    """The oldest branch of drivers that runs what was built for a CUDA."""
    return min(branch for branch, cuda in _BRANCHES if cuda[0] >= needed[0])


def written(cuda: Cuda) -> str:
    """`12.4`."""
    return f"{cuda[0]}.{cuda[1]}"


def driver_in(text: str) -> str | None:
    """The driver's version in the text of `/proc/driver/nvidia/version`."""
    match = re.search(r"Kernel Module\D*(\d+(?:\.\d+)+)", text)
    return match[1] if match else None


def cuda_in(text: str) -> Cuda | None:
    """The CUDA in the text of onnxruntime's `build_and_package_info.py`."""
    match = re.search(r"""cuda_version\s*=\s*["'](\d+)\.(\d+)""", text)
    return (int(match[1]), int(match[2])) if match else None


def driver() -> str | None:
    """The version of the driver of the running kernel."""
    try:
        return driver_in(_DRIVER_FILE.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def needed_cuda() -> Cuda | None:
    """The CUDA that the installed onnxruntime-gpu was built for."""
    try:
        path = distribution("onnxruntime-gpu").locate_file(_BUILD_FILE)
        return cuda_in(Path(str(path)).read_text(encoding="utf-8", errors="replace"))
    except (PackageNotFoundError, OSError):
        return None
