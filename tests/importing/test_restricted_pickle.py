"""Pickles are read as data: what they name is in a list or ends the reading, and nothing runs."""

from __future__ import annotations

import collections
import contextlib
import functools
import gzip
import io
import os
import pickle  # noqa: TID251 -- what is read here must be written somehow
import pickletools
import zlib
from pathlib import Path

import joblib
import numpy as np
import pytest

from converters.importing import restricted_pickle
from converters.importing.restricted_pickle import Stub, read_pickle
from zoo.errors import FileMissing, ForbiddenGlobal, UnreadableWeights


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def written(path: Path, value: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["B cell", "T-Zelle µ"]),
        np.array(["B cell", "T cell"], dtype=object),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
        np.zeros((0, 4)),
        np.arange(12.0).reshape(3, 4)[:, ::2],
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back(tmp_path: Path, array: np.ndarray, protocol: int) -> None:
    found = read_pickle(written(tmp_path / "a.pkl", {"x": array}, protocol), "sklearn")["x"]
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert (found == array).all()


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_and_containers_come_back(tmp_path: Path, protocol: int) -> None:
    value = {"a": [1, 2.5, None, True], "b": (np.float64(3.5), np.int32(4)), "c": {"d": "e"}}
    value["o"] = collections.OrderedDict(x=1)
    assert read_pickle(written(tmp_path / "a.pkl", value, protocol), "sklearn") == value


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 1)])
def test_joblib_files_are_read(tmp_path: Path, compress: object) -> None:
    value = {
        "big": np.random.default_rng(0).normal(size=(50, 70)),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": np.array(["a", "b"], dtype=object),
        "after": [1, np.arange(3)],
    }
    joblib.dump(value, tmp_path / "a.joblib", compress=compress)
    found = read_pickle(tmp_path / "a.joblib", "sklearn")
    assert found.keys() == value.keys()
    for name in ("big", "fortran", "names"):
        assert (found[name] == value[name]).all()
    assert (found["after"][1] == np.arange(3)).all()


def test_objects_become_stubs(tmp_path: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.arange(12.0).reshape(4, 3))
    found = read_pickle(written(tmp_path / "a.pkl", scaler), "sklearn")
    assert isinstance(found, Stub)
    assert found.kind == "StandardScaler"
    assert np.allclose(found.state["mean_"], scaler.mean_)


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_code_is_named_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    with pytest.raises(ForbiddenGlobal) as caught:
        read_pickle(written(tmp_path / "a.pkl", {"Model": Evil(mark)}, protocol), "celltypist")
    assert caught.value.named == "posix.system"
    assert not mark.exists()


@pytest.mark.parametrize("compress", [0, 3])
def test_code_inside_an_array_of_objects_is_not_run(tmp_path: Path, compress: int) -> None:
    mark = tmp_path / "ran"
    joblib.dump(np.array([Evil(mark)], dtype=object), tmp_path / "a.joblib", compress=compress)
    with pytest.raises(ForbiddenGlobal):
        read_pickle(tmp_path / "a.joblib", "sklearn")
    assert not mark.exists()


@pytest.mark.parametrize(
    "named",
    ["builtins.eval", "builtins.getattr", "numpy.load", "functools.partial", "os.system",
     "sklearn.linear_model._logistic.LogisticRegression.fit", "numpy.core.multiarray.fromstring",
     "sklearn.ensemble._forest.RandomForestClassifier"],
)  # fmt: skip
def test_a_name_that_is_not_listed_is_refused(tmp_path: Path, named: str) -> None:
    module, _, name = named.rpartition(".")
    (tmp_path / "a.pkl").write_bytes(b"c" + f"{module}\n{name}\n".encode() + b".")
    with pytest.raises(ForbiddenGlobal, match=named.replace(".", r"\.")):
        read_pickle(tmp_path / "a.pkl", "sklearn")


def test_a_dotted_name_does_not_reach_into_a_listed_class(tmp_path: Path) -> None:
    """Protocol 4 may name attributes: `LogisticRegression.__init__.__globals__`."""
    content = (
        b"\x80\x04\x8c\x24sklearn.linear_model._logistic.x"[:-2]
        + b"\x8c\x20LogisticRegression.__globals__.x\x93."
    )
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises((ForbiddenGlobal, UnreadableWeights)):
        read_pickle(tmp_path / "a.pkl", "sklearn")


def test_stubs_cannot_be_called_as_functions_of_python(tmp_path: Path) -> None:
    partial = functools.partial(print, "x")
    with pytest.raises(ForbiddenGlobal, match=r"functools\.partial"):
        read_pickle(written(tmp_path / "a.pkl", partial), "sklearn")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = pickle.dumps({"x": np.arange(1000.0)})
    rng = np.random.default_rng(0)
    path = tmp_path / "a.pkl"
    for length in range(0, len(whole) - 1, 397):
        path.write_bytes(whole[:length])
        with pytest.raises(UnreadableWeights):
            read_pickle(path, "sklearn")
    for _ in range(200):
        broken = bytearray(whole)
        broken[rng.integers(0, 200)] = rng.integers(0, 256)
        path.write_bytes(bytes(broken))
        with contextlib.suppress(UnreadableWeights, ForbiddenGlobal):
            read_pickle(path, "sklearn")  # some changes hit a number, and nobody can tell


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 something", "zip"),
        (b"\x04\x22\x4d\x18 something", "lz4"),
        (b"\x1f\x8b damaged", "compression"),
        (b"\x78\x9c damaged", "compression"),
        (b"not a pickle", "damaged"),
        (b"\x80\x04Pabc\n.", "persistent"),
        (b"\x80\x05\x97.", "damaged"),
        (b"I" + b"9" * 10000 + b"\n.", "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(UnreadableWeights, match=told):
        read_pickle(tmp_path / "a.pkl", "sklearn")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        read_pickle(tmp_path / "a.pkl", "sklearn")


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + b"]" * 100000 + b"a" * 99999 + b".")
    with pytest.raises(UnreadableWeights, match="nested"):
        read_pickle(tmp_path / "a.pkl", "sklearn")


def test_shared_parts_do_not_multiply(tmp_path: Path) -> None:
    """30 lists, each with the one before it twice: 2^30 lists if each were walked anew."""
    value: list[object] = [1]
    for _ in range(30):
        value = [value, value]
    assert len(read_pickle(written(tmp_path / "a.pkl", value), "sklearn")) == 2


def test_keys_that_hash_forever_are_refused(tmp_path: Path) -> None:
    content = bytearray(b"\x80\x04)\x940")
    for i in range(60):
        content += b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" + b"0"
    content += b"}h" + bytes([60]) + b"Ns."
    (tmp_path / "a.pkl").write_bytes(bytes(content))
    pickletools.dis(bytes(content), out=io.StringIO())
    with pytest.raises(UnreadableWeights, match="keys"):
        read_pickle(tmp_path / "a.pkl", "sklearn")


@pytest.mark.parametrize("packed", [zlib.compress, gzip.compress])
def test_a_bomb_is_refused(tmp_path: Path, packed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restricted_pickle, "MAXIMUM_BYTES", 100_000)
    (tmp_path / "a.pkl").write_bytes(packed(bytes(10_000_000)))  # type: ignore[operator]
    with pytest.raises(UnreadableWeights, match="more than"):
        read_pickle(tmp_path / "a.pkl", "sklearn")


def test_arrays_whose_bytes_do_not_fit_are_refused(tmp_path: Path) -> None:
    content = pickle.dumps(np.arange(1000, dtype=np.int8), protocol=4)
    broken = content.replace(b"M\xe8\x03\x85", b"M\xe8\x04\x85")
    assert broken != content
    (tmp_path / "a.pkl").write_bytes(broken)
    with pytest.raises(UnreadableWeights, match="bytes"):
        read_pickle(tmp_path / "a.pkl", "sklearn")
