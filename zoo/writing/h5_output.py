"""HDF5 files under construction on a disk that may become full, in a process that may be stopped.

When a write fails inside HDF5, the library can no longer close the file, and the process crashes at
its end. So HDF5 writes through a file object that keeps errors, and Ctrl-C, to itself; whoever
writes does so in a `revealing` block, at whose end they are raised from Python.
"""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class HoldingFile(io.RawIOBase):
    """A new file, open for reading and writing, that holds its first error back.

    Once something failed, writes are dropped and reads give zeros: what is in the file is lost
    anyway, and HDF5 must only come to its end.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.error: BaseException | None = None

    @contextmanager
    def revealing(self) -> Iterator[None]:
        """At the end of the block, raise what was held back: an error or Ctrl-C.

        HDF5's own complaint about the zeros that it read since then is replaced by it.

        Raises
        ------
        OSError, KeyboardInterrupt

        """
        with _on_interrupt(self._hold):
            try:
                yield
            except (OSError, RuntimeError) as complaint:
                if self.error is not None:
                    raise self.error from complaint
                raise
        if self.error is not None:
            raise self.error

    def _hold(self, error: BaseException) -> None:
        self.error = self.error or error

    def write(self, data: Any) -> int:
        """Write all of `data`."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._hold(error)
        return size

    def readinto(self, buffer: Any) -> int:
        """Fill all of `buffer`, with zeros where the file has no bytes."""
        rest = memoryview(buffer).cast("B")
        size = len(rest)
        while rest and self.error is None and (count := self._file.readinto(rest)):
            rest = rest[count:]
        rest[:] = bytes(len(rest))
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._hold(error)
            return size or 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@contextmanager
def _on_interrupt(hold: Callable[[BaseException], None]) -> Iterator[None]:
    """Hand Ctrl-C to `hold`: raised inside a call-back of HDF5 it would be a failed write."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stops = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(stop, lambda *_: hold(KeyboardInterrupt())) for stop in stops]
    try:
        yield
    finally:
        for stop, handler in zip(stops, previous, strict=True):
            signal.signal(stop, handler)


@contextmanager
def h5_output(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file to write to.

    Raises
    ------
    OSError
        At the end, where a write failed.

    """
    holding = HoldingFile(path)
    try:
        with holding.revealing(), h5py.File(holding, "w") as file:
            yield file
    finally:
        holding.close()
