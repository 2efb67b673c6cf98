from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path

import pytest

from zoo.cache import Cache
from zoo.digest import sha256_of
from zoo.errors import CacheUnwritable, DigestMismatch, DiskFull, NotInCache, WrongSize
from zoo.staging import is_stale, staged, staging_path, write_atomically


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def add(cache: Cache, content: bytes) -> str:
    sha256 = sha256_of(content)
    cache.add(io.BytesIO(content), sha256=sha256, size=len(content), file="f", origin="test:")
    return sha256


def add_model(cache: Cache, name: str, *contents: bytes, version: str = "1.0.0") -> None:
    digests = [sha256_of(content) for content in contents]
    manifest = json.dumps({"files": [{"sha256": sha256} for sha256 in digests]}).encode()
    with cache.committing(name, version, manifest):
        for content in contents:
            add(cache, content)


def write_twice(path: Path) -> None:
    for _ in range(2):
        path.open("xb").close()


def files_of(cache: Cache) -> list[Path]:
    return sorted(path for path in cache.root.rglob("*") if path.is_file())


def test_nothing_is_created_by_looking(cache: Cache) -> None:
    assert (cache.models(), cache.verify(), cache.prune(), cache.size) == ([], [], [], 0)
    assert cache.read("0" * 64) is None
    assert not cache.root.exists()


def test_content_is_stored_under_its_digest(cache: Cache) -> None:
    sha256 = add(cache, b"counts")
    assert cache.read(sha256) == b"counts"
    assert cache.has(sha256, 6)
    assert not cache.has(sha256, 7)
    assert files_of(cache) == [cache.root / "sha256" / sha256[:2] / sha256]


def test_other_content_is_refused_and_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(DigestMismatch, match=r"'model\.onnx' from hub:x"):
        cache.add(io.BytesIO(b"abc"), sha256="0" * 64, size=3, file="model.onnx", origin="hub:x")
    assert files_of(cache) == []


@pytest.mark.parametrize(("content", "size", "read"), [(b"ab", 3, 2), (b"x" * 100, 3, 4)])
def test_a_wrong_size_is_found_without_reading_on(
    cache: Cache, content: bytes, size: int, read: int
) -> None:
    stream = io.BytesIO(content)
    with pytest.raises(WrongSize) as caught:
        cache.add(stream, sha256=sha256_of(content), size=size, file="f", origin="hub:x")
    assert caught.value.actual == stream.tell() == read
    assert files_of(cache) == []


def test_damaged_content_is_not_given(cache: Cache) -> None:
    sha256 = add(cache, b"counts")
    cache.blob_path(sha256).write_bytes(b"c0unts")
    assert cache.read(sha256) is None
    assert cache.verify() == [cache.blob_path(sha256)]
    add(cache, b"counts")
    assert cache.read(sha256) == b"counts"


def test_a_model_appears_only_when_it_is_whole(cache: Cache) -> None:
    def broken_off() -> None:
        with cache.committing("tiny", "1.0.0", b'{"files": []}'):
            assert cache.models() == []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert cache.models() == []
    assert files_of(cache) == []


def test_models_are_listed_in_order_of_version(cache: Cache) -> None:
    for version in ("1.10.0", "1.9.0"):
        add_model(cache, "tiny", b"graph", version=version)
    assert [model.reference for model in cache.models()] == ["tiny@1.9.0", "tiny@1.10.0"]
    assert cache.models()[0].size == 5


def test_removing_a_model_keeps_what_others_use(cache: Cache) -> None:
    add_model(cache, "one", b"shared", b"own")
    add_model(cache, "two", b"shared")
    assert [model.name for model in cache.remove("one@1.0.0")] == ["one"]
    assert cache.read(sha256_of(b"shared")) == b"shared"
    assert cache.read(sha256_of(b"own")) is None
    assert cache.verify() == []
    assert not (cache.root / "models" / "one").exists()
    with pytest.raises(NotInCache, match=r"It holds: two@1\.0\.0"):
        cache.remove("one")


def test_a_missing_file_is_found(cache: Cache) -> None:
    add_model(cache, "tiny", b"graph")
    blob = cache.blob_path(sha256_of(b"graph"))
    blob.unlink()
    assert cache.verify() == [blob]


def test_prune_removes_the_unused_the_damaged_and_the_stale(cache: Cache) -> None:
    add_model(cache, "tiny", b"graph", b"genes")
    unused, damaged = add(cache, b"unused"), cache.blob_path(sha256_of(b"genes"))
    damaged.write_bytes(b"gen3s")
    stale = cache.root / "sha256" / unused[:2] / f".{unused}.00000000-1-00000000.part"
    stale.write_bytes(b"unu")
    os.utime(stale, (0, 0))
    under_way = staging_path(cache.blob_path(unused))
    under_way.write_bytes(b"unu")

    assert set(cache.prune()) == {cache.blob_path(unused), damaged, stale}
    assert under_way.exists()
    assert cache.read(sha256_of(b"graph")) == b"graph"


def test_prune_spares_the_files_of_a_pull_that_is_under_way(cache: Cache) -> None:
    manifest = json.dumps({"files": [{"sha256": sha256_of(b"graph")}]}).encode()
    with cache.committing("tiny", "1.0.0", manifest):
        add(cache, b"graph")
        assert cache.prune() == []
    assert cache.verify() == []
    assert [model.name for model in cache.models()] == ["tiny"]


def test_a_manifest_of_a_newer_kind_keeps_its_files(cache: Cache) -> None:
    sha256 = add(cache, b"graph")
    manifest = {"manifest_version": 7, "files": [{"sha256": sha256, "new": 1}]}
    with cache.committing("tiny", "1.0.0", json.dumps(manifest).encode()):
        pass
    assert cache.prune() == []


def test_a_stored_manifest_cannot_point_outside(cache: Cache) -> None:
    path = cache.root / "models" / "tiny" / "1.0.0" / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"files": [{"sha256": "../../../etc/passwd"}]}')
    assert cache.models() == []
    assert cache.verify() == [path]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnwritable, match="ZOO_CACHE"):
        add(Cache(tmp_path / "file"), b"x")


def test_a_full_disk(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zoo.cache.to_disk", full)
    with pytest.raises(DiskFull, match="ZOO_CACHE"):
        add(cache, b"x")
    assert files_of(cache) == []


def test_staging_names_are_unique_and_lie_beside_their_target(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    names = {staging_path(target) for _ in range(50)}
    assert len(names) == 50
    assert {path.parent for path in names} == {tmp_path}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_atomically(target, b"old")
    with pytest.raises(FileExistsError), staged(target) as staging:
        write_twice(staging)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_staging_file_is_stale_when_its_writer_is_gone(tmp_path: Path) -> None:
    mine = staging_path(tmp_path / "a")
    mine.touch()
    assert not is_stale(mine)
    gone = mine.with_name(mine.name.replace(f"-{os.getpid()}-", "-99999999-"))
    gone.touch()
    assert is_stale(gone)
    elsewhere = tmp_path / ".a.00000000-99999999-00000000.part"
    elsewhere.touch()
    assert not is_stale(elsewhere)
    os.utime(elsewhere, (0, 0))
    assert is_stale(elsewhere)
