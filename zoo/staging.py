"""Files that appear whole or not at all: written under another name, then moved into place.

A staging file lies in the folder of its target, so that the move is atomic, and carries the host,
the process and a random part in its name, so that no two writers share one. There are no locks:
on the file systems of clusters (Lustre, GPFS, NFS) `flock` may succeed for two processes at once.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".part"

_NAME = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.part")
_DAY = 86_400.0


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give a path to write; moved to `target` at the end, removed if anything is raised.

    Raises
    ------
    OSError
        From the move; errors of the block pass through.

    """
    staging = staging_path(target)
    try:
        yield staging
        os.replace(staging, target)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill; it takes the place of `target` at the end, or vanishes.

    A folder cannot be replaced at once: the old one is moved aside for a moment and moved back if
    the new one cannot take its place.

    Raises
    ------
    OSError
        From making or moving folders; errors of the block pass through.

    """
    staging, old = staging_path(target), staging_path(target)
    try:
        staging.mkdir(parents=True)
        yield staging
        if target.exists():
            target.replace(old)
        staging.replace(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.replace(target)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        # Where neither the new nor the old one could be put in place, the old one is kept aside.
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def write_atomically(target: Path, content: bytes) -> None:
    """Replace a file's content at once."""
    with staged(target) as staging, staging.open("xb") as file:
        file.write(content)
        to_disk(file)


def to_disk(file: BinaryIO) -> None:
    """Have all that was written on the disk: a name must never point to unwritten data."""
    file.flush()
    os.fsync(file.fileno())


def staging_path(target: Path) -> Path:
    """A new name beside `target`, unique to this process and call."""
    unique = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    return target.with_name(f".{target.name}.{unique}{SUFFIX}")


def is_staging(path: Path) -> bool:
    """Whether a name is that of a staging file."""
    return _NAME.fullmatch(path.name) is not None


def is_stale(path: Path) -> bool:
    """Whether the writer of a staging file is gone.

    A process of this machine is asked for; of one on another machine that shares the folder
    nothing can be known, so a day without a write counts as gone.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return False
    host, process = match.groups()
    if host == _host() and not _is_running(int(process)):
        return True
    try:
        return time.time() - path.stat().st_mtime > _DAY
    except FileNotFoundError:  # moved into place in this moment
        return False


def left_by(node: str, folder: Path) -> list[Path]:
    """The staging files in a folder of processes on a machine that is gone, such as a container."""
    found = [path for path in folder.glob(f".*{SUFFIX}") if is_staging(path)]
    return sorted(path for path in found if f".{_host(node)}-" in path.name)


def _host(node: str | None = None) -> str:
    return hashlib.sha256((node or platform.node()).encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
