"""What of this machine a container sees: the input read-only, the outputs' folders to write in.

Every path keeps its place: `data/my.h5ad` in `/home/me` lies at `/home/me/data/my.h5ad` inside, and
the working folder is `/home/me`. Nothing else of the machine is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from zoo.errors import UnmountablePath

# What the images need of their own: a mount there would hide it.
_OF_THE_IMAGE = (
    *("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"),
    *("/models", "/opt/cellzoo"),
)


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine inside the container.

    Attributes
    ----------
    source
        Where it is on this machine, links followed; None for an empty folder in memory.
    target
        Where the container sees it.
    read_only
        Whether the container may only read it.

    """

    source: str | None
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Seen:
    """A path as a command names it, for what it may be used.

    Attributes
    ----------
    word
        The path as the user wrote it.
    source
        Where it is on this machine, links followed.
    writable
        Whether the container writes there.
    inside
        Where the container sees it, if not at its own place.

    """

    word: str
    source: str
    writable: bool = False
    inside: str | None = None


def mounts_of(paths: Iterable[Seen], cwd: str) -> tuple[Mount, ...]:
    """The mounts that show these paths, outer ones first, and a working folder.

    A path that is written wins over the same path that is read. Where the working folder is not
    among them, it is there but empty.

    Raises
    ------
    UnmountablePath
        If a path would hide what the image needs.

    """
    mounts: dict[str, Mount] = {}
    for seen in paths:
        target = seen.inside or place(seen.word, cwd)
        if seen.inside is None:
            _ensure_mountable(target)
        if target not in mounts or seen.writable:
            mounts[target] = Mount(seen.source, target, read_only=not seen.writable)
    if cwd != "/" and not any(_lies_in(cwd, target) for target in mounts):
        _ensure_mountable(cwd)
        mounts[cwd] = Mount(None, cwd)
    return tuple(mounts[target] for target in sorted(mounts))


def place(word: str, cwd: str) -> str:
    """The absolute path of a word, by its letters alone: inside, no link is there to follow."""
    return os.path.normpath(os.path.join(cwd, word))


def inner_word(word: str) -> str:
    """The word by which the container finds a path; `a/../b` would need `a` to be there."""
    return os.path.normpath(word) if ".." in PurePosixPath(word).parts else word


def _ensure_mountable(target: str) -> None:
    for own in _OF_THE_IMAGE:
        if _lies_in(target, own) or _lies_in(own, target):
            raise UnmountablePath(target, own)


def _lies_in(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)
