"""A stretch of a file as a stream of its own: one file inside an archive that is not unpacked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO


class FilePart(io.BufferedIOBase, BinaryIO):
    """The `size` bytes of a file from `start` on.

    Raises
    ------
    OSError
        If the file cannot be opened.

    """

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file, self._left = path.open("rb"), size
        self._file.seek(start)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes, all that are left by default."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        piece = self._file.read(wanted)
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()
