"""HDF5 files under construction on a disk that may become full, in a process that may be stopped.

When a write fails inside HDF5, the library can no longer close the file, and the process crashes at
its end. So HDF5 writes through a file object that keeps errors, and Ctrl-C, to itself; whoever
writes does so in a `revealing` block, at whose end they are raised from Python.
"""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class HoldingFile(io.RawIOBase):
    """A new file, open for reading and writing, that holds its first error back.

    Once something failed, writes are dropped and reads give zeros: what is in the file is lost
    anyway, and HDF5 must only come to its end.

    Until it is closed, Ctrl-C and SIGTERM come here: in a `revealing` block they wait like an
    error; elsewhere they are raised at once, and again by the next block, since an exception that
    strikes in the middle of some clean-up is swallowed by Python.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.error: BaseException | None = None
        self._waits = False
        self._handlers: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for stop in (signal.SIGINT, signal.SIGTERM):
                self._handlers[stop] = signal.signal(stop, self._on_stop)

    @contextmanager
    def revealing(self) -> Iterator[None]:
        """At the end of the block, raise what was held back: an error or Ctrl-C.

        HDF5's own complaint about the zeros that it read since then is replaced by it.

        Raises
        ------
        OSError, KeyboardInterrupt

        """
        self._raise_held()
        self._waits = True
        try:
            yield
        except (OSError, RuntimeError) as complaint:
            if self.error is not None:
                raise self.error from complaint
            raise
        finally:
            self._waits = False
        self._raise_held()

    def _raise_held(self) -> None:
        if self.error is not None:
            raise self.error

    def _on_stop(self, *_: object) -> None:
        self._hold(KeyboardInterrupt())
        if not self._waits:
            raise KeyboardInterrupt

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
        if self.error is not None:
            return size or 0
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._hold(error)
            return size or 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        return offset if self._file.closed else self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return 0 if self._file.closed else self._file.tell()

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
        """Close the file, and give signals back to whom they came before."""
        for stop, handler in self._handlers.items():
            signal.signal(stop, handler)
        self._handlers = {}
        self._hold(ValueError("the file is closed"))
        self._file.close()
        super().close()


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
