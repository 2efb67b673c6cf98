"""The user's folder as a container sees it: is it there, and may results be written into it?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import MountUnwritable, NothingMounted, NotInMount


def require_mount(file: Path, results: Sequence[Path], image: str) -> None:
    """Say what is wrong with a mount before a run, in words of `docker run`.

    Raises
    ------
    NothingMounted
        If the input cannot be seen, and nothing is mounted at the working folder.
    NotInMount
        If something is, and the input is not in it.
    MountUnwritable
        If the results' folder (by default the working folder) takes no file.

    """
    here = Path.cwd()
    if not file.exists():
        if not here.is_mount():
            raise NothingMounted(str(file), str(here), image)
        raise NotInMount(str(file), str(here), _files(here))
    for folder in {path.parent for path in results} or {Path()}:
        if folder.is_dir() and (reason := _unwritable(folder)):
            raise MountUnwritable(str(folder.absolute()), reason, image)


def _files(folder: Path) -> list[str]:
    most = 8
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
    return names[:most] + (["…"] if len(names) > most else [])


def _unwritable(folder: Path) -> str:
    """Why nothing can be written into a folder; empty where it can be."""
    status = os.statvfs(folder)
    if status.f_flag & os.ST_RDONLY:
        return "it is mounted read-only"
    if not os.access(folder, os.W_OK | os.X_OK):
        owner = folder.stat()
        return f"it belongs to user {owner.st_uid}, and the container runs as user {os.getuid()}"
    return ""
