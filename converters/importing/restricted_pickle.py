"""Reading pickles as data: nothing that a pickle names is ever imported or called.

A pickle is a program for a stack machine, whose danger lies in the functions that it names. Here
each name must be in an exact list, and stands for an inert `Stub` that keeps what it is given. Of
numpy's own classes nothing runs either: arrays are put together from their bytes, since
`dtype.__setstate__` trusts its input. Files that joblib wrote, compressed or not, are read too.

Python's own implementation of the machine is taken, not the one in C, because joblib's arrays lie
between the instructions, and because keys of dictionaries must be checked before they are hashed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import pickle
import re
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from zoo.errors import FileMissing, ForbiddenGlobal, UnreadableWeights

MAXIMUM_BYTES = 1 << 30
"""Largest file, also after it is uncompressed."""
MAXIMUM_DEPTH = 40
"""Deepest nesting of what comes out."""
_LARGEST_ARRAY = MAXIMUM_BYTES
_LONGEST_DIMENSIONS = 8

SKLEARN = frozenset(
    {
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model.logistic.LogisticRegression",
        "sklearn.linear_model._stochastic_gradient.SGDClassifier",
        "sklearn.linear_model.stochastic_gradient.SGDClassifier",
        "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
        "sklearn.neural_network.multilayer_perceptron.MLPClassifier",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing.data.StandardScaler",
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.preprocessing.label.LabelBinarizer",
        "sklearn.preprocessing.label.LabelEncoder",
        "sklearn.pipeline.Pipeline",
        *(
            f"sklearn.linear_model.{module}.{loss}"
            for module in ("_sgd_fast", "sgd_fast")
            for loss in ("Hinge", "SquaredHinge", "Log", "ModifiedHuber", "SquaredLoss", "Huber")
        ),
        *(
            f"sklearn._loss._loss.{prefix}{loss}"
            for prefix in ("", "__pyx_unpickle_")
            for loss in ("CyHalfBinomialLoss", "CyHalfMultinomialLoss", "CyHalfSquaredError")
        ),
    }
)
"""Classifiers, scalers and their loss objects, by full name, in new and old releases."""

_RANDOM = frozenset(
    {
        "numpy.random._pickle.__randomstate_ctor",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._mt19937.MT19937",
        "numpy.random.bit_generator.SeedSequence",
        "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
    }
)
"""The state of a random generator, which classifiers keep; it is collected and not used."""


_DTYPE = re.compile(r"[biuf]\d{1,2}|[US]\d{1,6}|O8?")
"""Codes of numpy for numbers, text and objects, in the form that pickles have them."""


class Stub:
    """Stands for an object of a pickle; runs nothing and keeps what it is given.

    Attributes
    ----------
    named
        Full name of the class or function that the pickle names.
    arguments
        What it was called with.
    state
        What the object holds.

    """

    named = ""

    def __init__(self, *arguments: Any) -> None:
        self.arguments: tuple[Any, ...] = arguments
        self.state: Any = None

    def __new__(cls, *arguments: Any) -> Stub:
        """An object that a pickle makes without calling its class."""
        stub = object.__new__(cls)
        stub.arguments, stub.state = arguments, None
        return stub

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def kind(self) -> str:
        """The name of its class alone: `StandardScaler`."""
        return self.named.rpartition(".")[2]


class _Dtype(Stub):
    """`numpy.dtype(code, align, copy)`, of plain kinds alone."""

    def resolved(self) -> np.dtype[Any]:
        code = self.arguments[0] if self.arguments else None
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise ValueError(f"an array of the kind {code!r}")
        dtype = np.dtype(code)
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "<"
        return dtype.newbyteorder(">") if order == ">" else dtype


class _Array(Stub):
    """`numpy…_reconstruct(ndarray, (0,), b'b')`, whose state holds shape, dtype and bytes."""

    def resolved(self) -> npt.NDArray[Any]:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ValueError("an array without its content")
        _, shape, dtype, is_fortran, content = self.state
        return _array_of(shape, dtype, "F" if is_fortran else "C", content)


class _FromBuffer(Stub):
    """`numpy…_frombuffer(content, dtype, shape, order)`: an array of protocol 5."""

    def resolved(self) -> npt.NDArray[Any]:
        content, dtype, shape, order, *_ = self.arguments
        return _array_of(shape, dtype, str(order), content)


class _Scalar(Stub):
    """`numpy…scalar(dtype, content)`."""

    def resolved(self) -> Any:
        return _array_of((), self.arguments[0], "C", self.arguments[1])[()]


class _JoblibArray(Stub):
    """An array whose bytes lie in joblib's file right after the object that describes it."""

    content: Any = None

    def resolved(self) -> npt.NDArray[Any]:
        if isinstance(self.content, _Array | _FromBuffer):
            return self.content.resolved()
        state = self.state
        return _array_of(state["shape"], state["dtype"], str(state["order"]), self.content)


class _Bytes(Stub):
    """`_codecs.encode(text, 'latin1')`, or `bytes()` of none: how old protocols write bytes."""

    def resolved(self) -> bytes:
        return str(self.arguments[0]).encode("latin1") if self.arguments else b""


def _object(kind: type[Stub], *_: Any) -> Stub:
    """`copyreg._reconstructor(class, object, None)`: an object without content so far."""
    return kind()


def _array_of(shape: Any, dtype: Any, order: str, content: Any) -> npt.NDArray[Any]:
    if not isinstance(dtype, _Dtype) or order not in ("C", "F"):
        raise ValueError("an array without a dtype")
    if not isinstance(shape, tuple) or len(shape) > _LONGEST_DIMENSIONS:
        raise ValueError("an array without a shape")
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"an array of the shape {shape}")
    kind = dtype.resolved()
    if kind.kind == "O":
        if not isinstance(content, list) or not all(isinstance(x, _PLAIN) for x in content):
            raise ValueError("an array of objects that are no text or numbers")
        array = np.empty(len(content), dtype=object)
        array[:] = content
    else:
        if isinstance(content, _Bytes):
            content = content.resolved()
        if not isinstance(content, bytes | bytearray):
            raise ValueError("an array without its bytes")
        if len(content) != math.prod(shape) * kind.itemsize:
            raise ValueError(f"an array of the shape {shape} with {len(content):,} bytes")
        array = np.frombuffer(bytes(content), dtype=kind)
    return array.reshape(shape, order=order)  # type: ignore[call-overload]


_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Names of Python 2, which protocols below 3 keep."""

_PLAIN = (str, bytes, int, float, bool, type(None))

_NUMPY: dict[str, Any] = {
    "numpy.ndarray": type("_Ndarray", (Stub,), {"named": "numpy.ndarray"}),
    "numpy.dtype": _Dtype,
    "joblib.numpy_pickle.NumpyArrayWrapper": _JoblibArray,
    "_codecs.encode": _Bytes,
    "builtins.bytes": _Bytes,
    "copyreg._reconstructor": _object,
    "builtins.object": object,
    "collections.OrderedDict": dict,
    **{
        f"numpy.{core}.multiarray.{name}": stub
        for core in ("core", "_core")
        for name, stub in (("_reconstruct", _Array), ("scalar", _Scalar))
    },
    **{f"numpy.{core}.numeric._frombuffer": _FromBuffer for core in ("core", "_core")},
}


class _Machine(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """The pickle machine with inert names."""

    dispatch = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, file: BinaryIO, path: str, format: str, classes: frozenset[str]) -> None:
        super().__init__(file)
        self._handle, self._path, self._format, self._classes = file, path, format, classes

    def find_class(self, module: str, name: str) -> Any:
        """The stub of a name in the list; any other one ends the reading."""
        named = f"{_OLD_MODULES.get(module, module)}.{name}"
        if named in _NUMPY:
            return _NUMPY[named]
        if named in self._classes or named in _RANDOM:
            return type(name, (Stub,), {"named": named})
        raise ForbiddenGlobal(self._path, self._format, named)

    def load_build(self) -> None:
        super().load_build()
        last = self.stack[-1]
        if isinstance(last, _JoblibArray):
            last.content = self._array_content(last.state)

    dispatch[pickle.BUILD[0]] = load_build

    def _array_content(self, state: Any) -> Any:
        """The bytes of an array behind its description; of objects, a pickle of its own."""
        dtype = state["dtype"].resolved()
        if dtype.kind == "O":
            return type(self)(self._handle, self._path, self._format, self._classes).load()
        size = math.prod(state["shape"]) * dtype.itemsize
        if not 0 <= size <= _LARGEST_ARRAY:
            raise ValueError(f"an array of {size:,} bytes")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._handle.read(self._handle.read(1)[0])
        return self._handle.read(size)

    # Hashing a deeply nested tuple takes forever, or ends the process.

    def load_setitem(self) -> None:
        _ensure_plain_keys(self.stack[-2:-1])
        super().load_setitem()

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        _ensure_plain_keys(self.stack[::2])
        super().load_setitems()

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_dict(self) -> None:
        _ensure_plain_keys(self.stack[::2])
        super().load_dict()

    dispatch[pickle.DICT[0]] = load_dict

    def load_additems(self) -> None:
        _ensure_plain_keys(self.stack)
        super().load_additems()

    dispatch[pickle.ADDITEMS[0]] = load_additems

    def load_frozenset(self) -> None:
        _ensure_plain_keys(self.stack)
        super().load_frozenset()

    dispatch[pickle.FROZENSET[0]] = load_frozenset


def _ensure_plain_keys(keys: Iterable[Any]) -> None:
    if not all(isinstance(key, _PLAIN) for key in keys):
        raise ValueError("a dictionary whose keys are no text or numbers")


_FAULTS = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError,
    struct.error, OverflowError, RecursionError, MemoryError, UnicodeError, AssertionError,
)  # fmt: skip


def read_pickle(path: Path, format: str, *, classes: Iterable[str] = SKLEARN) -> Any:
    """What a pickle holds: dicts, lists, numbers, text, arrays, and `Stub` for objects.

    Parameters
    ----------
    path
        A file of `pickle` or `joblib`, compressed by zlib, gzip, bz2 or xz or not at all.
    format
        Name of the importer, for errors.
    classes
        Full names of the classes that such a file may hold.

    Raises
    ------
    FileMissing
    UnreadableWeights
        If the file is damaged, too large, too deep, or no pickle.
    ForbiddenGlobal
        If it names anything else; nothing of it has been run.

    """
    content = _uncompressed(path, format)
    if content[:1] == b"P" and content[1:2] == b"K":
        raise UnreadableWeights(str(path), format, "it is a zip archive, not a pickle")
    machine = _Machine(io.BytesIO(content), str(path), format, frozenset(classes))
    try:
        return _Resolver().resolved(machine.load())
    except _FAULTS as error:
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableWeights(str(path), format, f"the pickle is damaged ({detail})") from error


class _Resolver:
    """Puts arrays where their descriptions are, once for each object however often it is named."""

    def __init__(self) -> None:
        # The objects are kept beside their copies, so that no id is given twice.
        self._known: dict[int, tuple[Any, Any]] = {}

    def resolved(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, (*_PLAIN, bytearray)):
            return value
        if depth > MAXIMUM_DEPTH:
            raise ValueError(f"it is nested deeper than {MAXIMUM_DEPTH}")
        if id(value) in self._known:
            return self._known[id(value)][1]
        found: Any
        if hasattr(value, "resolved"):
            found = value.resolved()
        elif isinstance(value, Stub):
            self._known[id(value)] = (value, value)  # an object may hold itself
            value.arguments = self.resolved(value.arguments, depth + 1)
            value.state = self.resolved(value.state, depth + 1)
            found = value
        elif isinstance(value, dict):
            found = {key: self.resolved(entry, depth + 1) for key, entry in value.items()}
        elif isinstance(value, list | tuple | set | frozenset):
            entries = [self.resolved(entry, depth + 1) for entry in value]
            found = entries if isinstance(value, list) else tuple(entries)
        elif isinstance(value, type):  # a class that is kept as a value, such as a dtype
            found = getattr(value, "named", value.__name__)
        else:
            raise ValueError(f"it holds a {type(value).__name__}")
        self._known[id(value)] = (value, found)
        return found


# -- compression ---------------------------------------------------------------------------------


def _uncompressed(path: Path, format: str) -> bytes:
    if not path.is_file():
        raise FileMissing(str(path))
    if path.stat().st_size > MAXIMUM_BYTES:
        raise UnreadableWeights(str(path), format, f"it is larger than {MAXIMUM_BYTES:,} bytes")
    content = path.read_bytes()
    if not content:
        raise UnreadableWeights(str(path), format, "it is empty")
    if content.startswith(b"\x04\x22\x4d\x18"):
        raise UnreadableWeights(str(path), format, "it is compressed by lz4; save it without")
    try:
        if content[:1] == b"\x78" and _has_zlib_header(content):
            found = zlib.decompressobj().decompress(content, MAXIMUM_BYTES + 1)
            return _not_too_long(found, path, format)
        for magic, kind in _COMPRESSED.items():
            if content.startswith(magic):
                with kind(io.BytesIO(content)) as opened:
                    return _not_too_long(opened.read(MAXIMUM_BYTES + 1), path, format)
        return content
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UnreadableWeights(str(path), format, f"its compression: {error}") from error


_COMPRESSED: dict[bytes, Any] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
    b"\x5d\x00": lzma.LZMAFile,
}


def _has_zlib_header(content: bytes) -> bool:
    """Whether the first two bytes are zlib's (RFC 1950)."""
    return len(content) > 1 and (content[0] * 256 + content[1]) % 31 == 0


def _not_too_long(content: bytes, path: Path, format: str) -> bytes:
    if len(content) > MAXIMUM_BYTES:
        detail = f"it holds more than {MAXIMUM_BYTES:,} bytes"
        raise UnreadableWeights(str(path), format, detail)
    return content
