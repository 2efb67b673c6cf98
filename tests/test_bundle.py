from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counts_file import write_counts
from fake_engine import install
from ran import Ran
from tiny_model import write_tiny_model

from zoo.bundles.index import BundleIndex
from zoo.bundles.packing import write_bundle
from zoo.cache import Cache
from zoo.checkout import Checkout
from zoo.digest import sha256_of
from zoo.errors import (
    BundleDamaged,
    BundleTooLarge,
    BundleTruncated,
    BundleUnlisted,
    BundleUnsafe,
    FileMissing,
    ImageTagged,
    InvalidBundle,
    NameTaken,
    NotABundle,
    ZooError,
)
from zoo.pull import in_place
from zoo.registry import Entry
from zoo.settings import Settings

Zoo = Callable[..., Ran]
Files = dict[str, bytes]

IMAGE = "cellzoo/blood:1.0.0"


def image_tar(*names: str) -> bytes:
    """What `docker save` writes, as far as it is read here."""
    return tar_of({"manifest.json": json.dumps([{"RepoTags": list(names)}]).encode()})


def tar_of(
    files: Files, *more: tuple[tarfile.TarInfo, bytes], how: int = tarfile.USTAR_FORMAT
) -> bytes:
    """An archive of files, then of members that were made by hand."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=how) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member, data in more:
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def with_header(files: Files, header: tarfile.TarInfo, left: int = 10240) -> bytes:
    """An archive of files, then a header that may claim anything, and some zeros."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        end = tar.offset
    return content.getvalue()[:end] + header.tobuf(tarfile.GNU_FORMAT) + bytes(left)


def files_of(bundle: Path) -> Files:
    with tarfile.open(bundle) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def edited(original: Files, /, **changes: Any) -> Files:
    """The same files, with other fields in the index."""
    index = {**json.loads(original["bundle.json"]), **changes}
    return {**original, "bundle.json": json.dumps(index).encode()}


def relisted(files: Files, **changes: Any) -> Files:
    """The same files with an index that lists them as they are."""
    listed = [
        {"path": name, "sha256": sha256_of(data), "size": len(data)}
        for name, data in files.items()
        if name != "bundle.json"
    ]
    return edited(files, files=listed, **changes)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that no registry names."""
    return write_tiny_model(tmp_path / "blood", name="blood")


@pytest.fixture
def bundle(model: Path, checkout: Checkout, tmp_path: Path) -> Path:
    pulled = in_place(model)
    write_bundle(pulled, Entry.of(pulled.manifest, ["bundle:"]), tmp_path / "blood.zoo.tar")
    return tmp_path / "blood.zoo.tar"


@pytest.fixture
def with_image(model: Path, checkout: Checkout, tmp_path: Path) -> Path:
    pulled = in_place(model)
    image = tmp_path / "image.tar"
    image.write_bytes(image_tar(IMAGE))
    entry = Entry.of(pulled.manifest, ["bundle:"])
    write_bundle(pulled, entry, tmp_path / "full.zoo.tar", (IMAGE, image))
    return tmp_path / "full.zoo.tar"


@pytest.fixture
def refuse(settings: Settings, checkout: Checkout, tmp_path: Path) -> Callable[..., str]:
    """Load these bytes, which must be refused, and give the text; the cache stays as it was."""
    from zoo.bundles.unpacking import load_bundle

    def refused(content: bytes, error: type[ZooError]) -> str:
        path = tmp_path / "hostile.zoo.tar"
        path.write_bytes(content)
        before = sorted(settings.cache.rglob("*"))
        with pytest.raises(error) as raised:
            load_bundle(path, settings)
        assert sorted(settings.cache.rglob("*")) == before, "something of it was kept"
        assert raised.value.exit_code == 5
        return raised.value.message

    return refused


# -- making and taking ---------------------------------------------------------------------------


def test_a_model_moves_to_a_machine_without_network(
    checkout: Checkout, model: Path, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run_zoo("bundle", str(model))
    assert (ran.code, "zoo bundle load blood.zoo.tar" in ran.out) == (0, True)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert run_zoo("pull", "blood").code == 4
    told = run_zoo("bundle", "load", "blood.zoo.tar", "--json").json
    assert told == {
        "model": "blood@1.0.0",
        "digest": in_place(model).digest,
        "files": 4,
        "image": None,
    }
    assert [entry["name"] for entry in run_zoo("list", "--json").json] == ["blood", "tiny"]
    assert run_zoo("search", "blood", "--json").json[0]["name"] == "blood"
    pulled = run_zoo("pull", "blood", "--json").json
    assert (pulled["origin"], pulled["digest"]) == ("cache", told["digest"])
    assert run_zoo("info", "blood").code == 0
    write_counts(tmp_path / "my.h5ad", 12)
    assert run_zoo("run", "blood", "my.h5ad").code == 0
    assert run_zoo("cache", "verify").code == 0
    assert run_zoo("cache", "prune", "--json").json["removed"] == []


def test_a_bundle_is_the_same_bytes_each_time(bundle: Path, model: Path, tmp_path: Path) -> None:
    pulled = in_place(model)
    index = write_bundle(pulled, Entry.of(pulled.manifest, ["bundle:"]), tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == bundle.read_bytes()
    assert index == BundleIndex.parse(files_of(bundle)["bundle.json"], "")
    assert list(files_of(bundle))[:2] == ["bundle.json", "model/manifest.json"]


def test_what_another_version_of_cellzoo_wrote_and_validated(
    model: Path, run_zoo: Zoo, tmp_path: Path
) -> None:
    manifest = model / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()), indent=7), encoding="utf-8")
    pulled, out = in_place(model), tmp_path / "old.tar"
    entry = Entry.of(pulled.manifest, ["bundle:"], digest=pulled.digest)
    write_bundle(pulled, entry.model_copy(update={"validated": "deep"}), out)
    assert files_of(out)["model/manifest.json"] == manifest.read_bytes()
    assert run_zoo("bundle", "load", out).code == 0
    assert run_zoo("pull", "blood", "--json").json["digest"] == pulled.digest
    assert run_zoo("bundle", model, "-o", out, "--overwrite", "--json").json["digest"] == (
        pulled.digest
    )


def test_a_name_of_the_registry(
    checkout: Checkout, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t.tar"
    assert run_zoo("bundle", "-o", out, "tiny").code == 0
    assert run_zoo("bundle", "make", "tiny", "-o", out).code == 8, "it exists already"
    assert run_zoo("bundle", "tiny", "-o", out, "--overwrite", "--json").json["bytes"] > 0
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "other"))
    # As in the runner's image: the registry is there, the cards are not.
    (checkout.root / "cards").rename(checkout.root / "away")
    assert run_zoo("pull", "tiny").code == 6
    assert run_zoo("bundle", "load", out).code == 0
    assert run_zoo("pull", "tiny", "--json").json["origin"] == "cache"
    assert [entry["name"] for entry in run_zoo("list", "--json").json] == ["tiny"]


def test_loading_twice_and_removing(bundle: Path, run_zoo: Zoo, settings: Settings) -> None:
    for _ in range(2):
        assert run_zoo("bundle", "load", bundle).code == 0
    assert run_zoo("cache", "rm", "blood").code == 0
    assert not [path for path in settings.cache.rglob("*") if path.is_file()]
    assert run_zoo("pull", "blood").code == 4


def test_a_damaged_file_is_taken_from_the_bundle_again(
    bundle: Path, run_zoo: Zoo, settings: Settings, model: Path
) -> None:
    run_zoo("bundle", "load", bundle)
    blob = Cache(settings.cache).blob_path(sha256_of((model / "genes.tsv").read_bytes()))
    blob.write_bytes(b"x" * blob.stat().st_size)
    ran = run_zoo("pull", "blood")
    assert (ran.code, f"fetching again from bundle:{bundle}" in ran.err) == (0, True)
    blob.write_bytes(b"")
    bundle.unlink()
    ran = run_zoo("pull", "blood")
    assert (ran.code, "'zoo bundle load FILE' takes it again" in ran.err) == (6, True)


def test_a_file_that_is_not_there(run_zoo: Zoo, checkout: Checkout, tmp_path: Path) -> None:
    assert run_zoo("bundle", "load", "absent.tar").code == FileMissing.exit_code
    assert "is no bundle: it is no file" in run_zoo("bundle", "load", tmp_path).err


# -- images --------------------------------------------------------------------------------------


def test_an_image_waits_in_the_cache_until_an_engine_needs_it(
    with_image: Path, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_zoo("bundle", "load", with_image, "--json").json["image"] == IMAGE
    assert run_zoo("cache", "prune", "--json").json["removed"] == []
    engine = install(tmp_path / "bin", ("docker",), monkeypatch)
    engine.answers(loads=[IMAGE])
    write_counts(tmp_path / "my.h5ad", 12)
    monkeypatch.chdir(tmp_path)
    assert run_zoo("run", "blood", "my.h5ad", "--docker").code == 0
    ((_, _, archive),) = engine.asked("load")
    assert Path(archive).read_bytes() == image_tar(IMAGE)
    assert IMAGE in engine.asked("run")[0]


def test_an_image_can_be_left_out(with_image: Path, run_zoo: Zoo, settings: Settings) -> None:
    assert run_zoo("bundle", "load", with_image, "--no-image", "--json").json["image"] is None
    assert not Cache(settings.cache).is_sound(sha256_of(image_tar(IMAGE)))


def test_an_image_that_is_not_there_is_not_built(
    checkout: Checkout, run_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = install(tmp_path / "bin", ("docker",), monkeypatch)
    out = tmp_path / "t.tar"
    ran = run_zoo("bundle", "tiny", "--image", "-o", out)
    assert (ran.code, "zoo image build tiny@1.0.0" in ran.err) == (6, True)
    assert engine.asked("build") == []
    assert not list(tmp_path.glob("*t.tar*"))


def test_names_of_an_image(with_image: Path, refuse: Callable[..., str]) -> None:
    for archive in (
        image_tar("python:3.12"),
        image_tar(IMAGE, "python:3.12"),
        image_tar(),
        tar_of({"manifest.json": b"{"}),
        tar_of({"manifest.json": b" " * 2_000_000}),
        tar_of({"manifest.json": json.dumps([{"RepoTags": [IMAGE]}]).encode(),
                "index.json": json.dumps({"manifests": [{"annotations": {
                    "io.containerd.image.name": "docker.io/library/python:3.12"}}]}).encode()}),
        b"no tar",
    ):  # fmt: skip
        files = relisted({**files_of(with_image), "image.tar": archive})
        assert "would be stored as" in refuse(tar_of(files), ImageTagged)


# -- refusals ------------------------------------------------------------------------------------


def test_what_is_no_bundle(refuse: Callable[..., str], bundle: Path) -> None:
    import gzip

    assert "no plain tar" in refuse(b"", NotABundle)
    assert "no plain tar" in refuse(b"PK\3\4" * 500, NotABundle)
    assert "no plain tar" in refuse(gzip.compress(bundle.read_bytes()), NotABundle)
    assert "does not begin with 'bundle.json'" in refuse(tar_of({"a": b""}), NotABundle)


def test_an_index_that_is_not_valid(refuse: Callable[..., str], bundle: Path) -> None:
    files = files_of(bundle)
    assert "bundle_version" in refuse(tar_of(edited(files, bundle_version=2)), InvalidBundle)
    assert "signature" in refuse(tar_of(edited(files, signature="x")), InvalidBundle)
    assert "image" in refuse(tar_of(edited(files, image=IMAGE)), InvalidBundle)
    assert "image" in refuse(tar_of(edited(files, image="python:3.12")), InvalidBundle)
    assert "unknown" in refuse(tar_of(edited(files, unknown=1)), InvalidBundle)
    entry = json.loads(files["bundle.json"])["entry"]
    other = edited(files, entry={**entry, "name": "../x"})
    assert "entry.name" in refuse(tar_of(other), InvalidBundle)
    other = edited(files, entry={**entry, "digest": "0" * 64})
    assert "its manifest is not the one" in refuse(tar_of(other), InvalidBundle)
    other = edited(files, entry={**entry, "summary": "The best model of all"})
    assert "does not follow from its manifest" in refuse(tar_of(other), InvalidBundle)
    assert "Invalid JSON" in refuse(tar_of({**files, "bundle.json": b"{"}), InvalidBundle)


def test_an_image_of_another_model(refuse: Callable[..., str], with_image: Path) -> None:
    files = edited(files_of(with_image), image="cellzoo/other:1.0.0")
    assert "'cellzoo/other:1.0.0' is of another model" in refuse(tar_of(files), InvalidBundle)


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "model/../../x", "bundle.json", "x"])
def test_listed_files_that_no_bundle_has(
    name: str, refuse: Callable[..., str], bundle: Path
) -> None:
    files = {**files_of(bundle)}
    index = json.loads(files["bundle.json"])
    listed = [*index["files"], {"path": name, "sha256": sha256_of(b"x"), "size": 1}]
    more = {} if name == "bundle.json" else {name: b"x"}
    refuse(tar_of({**edited(files, files=listed), **more}), InvalidBundle)


def test_a_file_that_is_not_listed(refuse: Callable[..., str], bundle: Path) -> None:
    for name in ("../../.bashrc", "/etc/cron.d/x", "model/more.txt"):
        text = refuse(tar_of({**files_of(bundle), name: b"x"}), BundleUnlisted)
        assert f"holds {name!r} though its index does not list it" in text


def test_a_file_that_comes_twice(refuse: Callable[..., str], bundle: Path) -> None:
    files = files_of(bundle)
    genes = files["model/genes.tsv"]
    member = tarfile.TarInfo("model/genes.tsv")
    member.size = len(genes)
    assert "twice" in refuse(tar_of(files, (member, genes)), BundleUnlisted)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.DIRTYPE, "folder"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
    ],
)
def test_what_is_no_plain_file(
    kind: bytes, word: str, refuse: Callable[..., str], bundle: Path
) -> None:
    files = files_of(bundle)
    del files["model/genes.tsv"]
    member = tarfile.TarInfo("model/genes.tsv")
    member.type, member.linkname = kind, "/etc/passwd"
    assert word in refuse(tar_of(files, (member, b"")), BundleUnsafe)


def test_extended_headers(refuse: Callable[..., str], bundle: Path) -> None:
    """A sparse file of PAX declares any size, and a long name is read whole into memory."""
    files = files_of(bundle)
    sparse = tarfile.TarInfo("model/genes.tsv")
    sparse.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 50)}
    genes = files.pop("model/genes.tsv")
    content = tar_of(files, (sparse, genes), how=tarfile.PAX_FORMAT)
    assert "refused" in refuse(content, BundleUnsafe)
    named = tarfile.TarInfo("model/" + "x" * 300)
    assert "refused" in refuse(tar_of(files, (named, b""), how=tarfile.PAX_FORMAT), BundleUnsafe)
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 50_000_000
    assert "claims 50," in refuse(with_header(files, header, 50_000_512), BundleUnsafe)


def test_a_size_that_is_not_the_listed_one(refuse: Callable[..., str], bundle: Path) -> None:
    files = {**files_of(bundle)}
    files["model/genes.tsv"] += b"\n"
    assert "'model/genes.tsv'" in refuse(tar_of(files), BundleTooLarge)


def test_a_size_beyond_all_bounds(refuse: Callable[..., str], bundle: Path) -> None:
    files = files_of(bundle)
    huge = tarfile.TarInfo("model/genes.tsv")
    huge.size = 1 << 60
    del files["model/genes.tsv"]
    text = refuse(with_header(files, huge), BundleTooLarge)
    assert "claims 1,152,921,504,606,846,976 bytes" in text
    index = json.loads(files_of(bundle)["bundle.json"])
    for file in index["files"]:
        file["size"] = 1 << 60
    text = refuse(tar_of(edited(files_of(bundle), files=index["files"])), InvalidBundle)
    assert "size" in text
    large = tarfile.TarInfo("bundle.json")
    large.size = 1 << 40
    text = refuse(with_header({}, large), BundleTooLarge)
    assert "8,000,000 are allowed" in text


def test_a_bundle_that_was_cut(refuse: Callable[..., str], bundle: Path) -> None:
    whole = bundle.read_bytes()
    assert "before 'model/README.md' is whole" in refuse(whole[: len(whole) // 2], BundleTruncated)
    files = files_of(bundle)
    del files["model/labels.tsv"]
    assert "before 'model/labels.tsv' is whole" in refuse(tar_of(files), BundleTruncated)


def test_a_changed_file(refuse: Callable[..., str], bundle: Path) -> None:
    files = {**files_of(bundle)}
    files["model/genes.tsv"] = files["model/genes.tsv"].replace(b"G1", b"G9")
    assert "'model/genes.tsv'" in refuse(tar_of(files), BundleDamaged)
    text = refuse(tar_of(relisted(files)), InvalidBundle)
    assert "not those of its manifest" in text


def test_a_file_beside_the_manifest(refuse: Callable[..., str], bundle: Path) -> None:
    files = relisted({**files_of(bundle), "model/run.sh": b"rm -rf /"})
    assert "not those of its manifest" in refuse(tar_of(files), InvalidBundle)


def test_a_name_that_is_taken(
    refuse: Callable[..., str], bundle: Path, checkout: Checkout, tmp_path: Path, run_zoo: Zoo
) -> None:
    def bundle_of(name: str) -> bytes:
        folder = write_tiny_model(tmp_path / f"other-{name}", name=name, classes=4)
        pulled = in_place(folder)
        path = tmp_path / f"{name}.tar"
        write_bundle(pulled, Entry.of(pulled.manifest, ["bundle:"]), path)
        return path.read_bytes()

    assert "'tiny@1.0.0' there has the digest" in refuse(bundle_of("tiny"), NameTaken)
    run_zoo("bundle", "load", bundle)
    assert "'blood@1.0.0' there has the digest" in refuse(bundle_of("blood"), NameTaken)
    assert run_zoo("cache", "rm", "blood@1.0.0").code == 0
    assert run_zoo("bundle", "load", tmp_path / "blood.tar").code == 0


def test_a_full_disk_leaves_no_name(
    with_image: Path, settings: Settings, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.cache.to_disk", full)
    assert run_zoo("bundle", "load", with_image).code == 8
    monkeypatch.undo()
    assert not [path for path in settings.cache.rglob("*") if path.is_file()]


def test_a_damaged_record_hides_the_name_and_no_more(
    bundle: Path, run_zoo: Zoo, settings: Settings
) -> None:
    run_zoo("bundle", "load", bundle)
    (record,) = settings.cache.rglob("loaded.json")
    record.write_text("{")
    assert [entry["name"] for entry in run_zoo("list", "--json").json] == ["tiny"]
    assert run_zoo("bundle", "load", bundle).code == 0
    assert run_zoo("pull", "blood").code == 0
