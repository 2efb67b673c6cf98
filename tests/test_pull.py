from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tiny_model import registry_of, write_manifest, write_tiny_model

from zoo.cache import Cache
from zoo.digest import sha256_of
from zoo.errors import (
    DigestMismatch,
    FileMissing,
    HubUnreachable,
    InvalidManifest,
    InvalidModelFile,
    NoModelsFolder,
    NotCached,
    NotCarried,
    UnknownModel,
    UnknownScheme,
    UnknownVersion,
    UnsafeFileName,
    WrongSize,
)
from zoo.hubs import hub_for
from zoo.manifest import Manifest
from zoo.pull import Fetch, Reuse, browse, plan, pull
from zoo.registry import Registry
from zoo.settings import Settings

TESTS = Path(__file__).parent


def located(registry: Registry, *locations: str) -> Registry:
    """The same registry, with its models at other places."""
    models = [entry.model_copy(update={"locations": list(locations)}) for entry in registry.models]
    return registry.model_copy(update={"models": models})


def blob(settings: Settings, model_folder: Path, file: str = "model.onnx") -> Path:
    return Cache(settings.cache).blob_path(sha256_of((model_folder / file).read_bytes()))


# -- the way of a model --------------------------------------------------------------------------


def test_a_model_is_fetched_once(
    tiny_hub: Path, tiny_registry: Registry, settings: Settings
) -> None:
    seen: list[tuple[int, int]] = []
    model = pull(
        "tiny",
        settings=settings,
        registry=tiny_registry,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert model.origin == tiny_hub.as_uri()
    assert model.digest == sha256_of((tiny_hub / "manifest.json").read_bytes())
    assert model.read("graph") == (tiny_hub / "model.onnx").read_bytes()
    size = sum(file.size for file in model.files)
    assert seen[-1] == (size, size)

    again = pull("tiny@1.0.0", settings=settings, registry=tiny_registry)
    assert (again.origin, again.manifest) == ("cache", model.manifest)


def test_a_plan_changes_nothing(tiny_registry: Registry, settings: Settings) -> None:
    cache, entry = Cache(settings.cache), tiny_registry.resolve("tiny")
    assert isinstance(plan(entry, cache), Fetch)
    assert not settings.cache.exists()
    pull("tiny", settings=settings, registry=tiny_registry)
    assert isinstance(plan(entry, cache), Reuse)


def test_a_role_that_the_model_lacks(tiny_registry: Registry, settings: Settings) -> None:
    with pytest.raises(InvalidModelFile, match="explain"):
        pull("tiny", settings=settings, registry=tiny_registry).read("explain")


def test_a_new_digest_of_the_same_version_is_fetched(tiny_hub: Path, settings: Settings) -> None:
    pull("tiny", settings=settings, registry=registry_of(tiny_hub))
    (tiny_hub / "figures").mkdir()
    (tiny_hub / "figures" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_manifest(tiny_hub)
    model = pull("tiny", settings=settings, registry=registry_of(tiny_hub))
    assert (model.origin, model.read("figure")) == (tiny_hub.as_uri(), b"\x89PNG\r\n\x1a\n")


def test_browsing_stores_nothing(
    tiny_hub: Path, tiny_registry: Registry, settings: Settings
) -> None:
    model = browse("tiny", settings=settings, registry=tiny_registry)
    assert model.read("genes") == (tiny_hub / "genes.tsv").read_bytes()
    assert not settings.cache.exists()


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "error"), [(b"", WrongSize), (b"x" * 9999, WrongSize), (None, DigestMismatch)]
)
def test_a_file_that_is_not_the_published_one(
    tiny_hub: Path,
    tiny_registry: Registry,
    settings: Settings,
    content: bytes | None,
    error: type[Exception],
) -> None:
    graph = tiny_hub / "model.onnx"
    graph.write_bytes(bytes(graph.stat().st_size) if content is None else content)
    with pytest.raises(error):
        pull("tiny", settings=settings, registry=tiny_registry)
    cache = Cache(settings.cache)
    assert cache.models() == cache.verify() == []
    assert not list(settings.cache.rglob("*.part"))


def test_a_manifest_that_the_registry_does_not_know(
    tiny_hub: Path, tiny_registry: Registry, settings: Settings
) -> None:
    (tiny_hub / "genes.tsv").write_text("symbol\tensembl_id\tweight\nTP53\t\t1\n")
    write_manifest(tiny_hub)
    with pytest.raises(DigestMismatch, match=r"manifest\.json"):
        pull("tiny", settings=settings, registry=tiny_registry)


@pytest.mark.parametrize(
    "path", ["../evil", "/etc/passwd", "a/../../b", "C:\\x", "figures/", "./model.onnx", "a\nb"]
)
def test_a_path_that_leaves_the_model_is_refused(
    tiny_hub: Path, tiny_registry: Registry, settings: Settings, path: str
) -> None:
    manifest = json.loads((tiny_hub / "manifest.json").read_bytes())
    manifest["files"][-1]["path"] = path
    content = json.dumps(manifest).encode()
    (tiny_hub / "manifest.json").write_bytes(content)
    entry = tiny_registry.models[0].model_copy(update={"digest": sha256_of(content)})
    with pytest.raises(UnsafeFileName):
        pull("tiny", settings=settings, registry=Registry(registry_version=1, models=[entry]))
    with pytest.raises(UnsafeFileName):
        pull(str(tiny_hub), settings=settings)
    assert not settings.cache.exists()


def test_another_model_behind_the_name(tmp_path: Path, settings: Settings) -> None:
    other = write_tiny_model(tmp_path / "other", name="other")
    (entry,) = registry_of(other).models
    renamed = entry.model_copy(update={"name": "tiny"})
    with pytest.raises(InvalidManifest, match=r"other@1\.0\.0"):
        pull("tiny", settings=settings, registry=Registry(registry_version=1, models=[renamed]))


# -- damage and absence --------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_file_is_said_and_fetched_again(
    tiny_hub: Path, tiny_registry: Registry, settings: Settings, damage: str
) -> None:
    notices: list[str] = []
    pull("tiny", settings=settings, registry=tiny_registry)
    path = blob(settings, tiny_hub)
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:100] if damage == "cut" else bytes(len(content)))
    model = pull("tiny", settings=settings, registry=tiny_registry, on_notice=notices.append)
    assert model.read("graph") == content
    (notice,) = notices
    assert "damaged" in notice
    assert tiny_hub.as_uri() in notice
    assert Cache(settings.cache).verify() == []


def test_damage_after_the_pull_is_found_at_the_read(
    tiny_hub: Path, tiny_registry: Registry, settings: Settings
) -> None:
    notices: list[str] = []
    model = pull("tiny", settings=settings, registry=tiny_registry, on_notice=notices.append)
    blob(settings, tiny_hub).write_bytes(b"?")
    assert model.read("graph") == (tiny_hub / "model.onnx").read_bytes()
    assert "'model.onnx'" in notices[0]


def test_nothing_good_goes_when_the_hub_is_down(
    tiny_hub: Path, tiny_registry: Registry, settings: Settings
) -> None:
    pull("tiny", settings=settings, registry=tiny_registry)
    path = blob(settings, tiny_hub)
    tiny_hub.rename(tiny_hub.with_name("away"))
    model = pull("tiny", settings=settings, registry=tiny_registry)
    assert model.origin == "cache"
    model.read("graph")

    path.write_bytes(b"?")
    with pytest.raises(HubUnreachable, match="zoo cache ls"):
        pull("tiny", settings=settings, registry=tiny_registry).read("graph")
    assert Cache(settings.cache).verify() == [path]
    model.read("genes")
    assert [m.name for m in Cache(settings.cache).models()] == ["tiny"]


def test_a_hub_without_the_model(tiny_registry: Registry, settings: Settings) -> None:
    nowhere = located(tiny_registry, "file:/nowhere/tiny", tiny_registry.models[0].locations[0])
    with pytest.raises(HubUnreachable, match="'/nowhere/tiny'"):  # and no other place is tried
        pull("tiny", settings=settings, registry=nowhere)


# -- in place ------------------------------------------------------------------------------------


def test_a_folder_is_used_in_place_and_verified(
    tiny_hub: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_hub.parent)
    model = pull("./tiny", settings=settings)
    assert model.read("labels") == (tiny_hub / "labels.tsv").read_bytes()
    assert not settings.cache.exists()
    (tiny_hub / "labels.tsv").write_text("label\n")
    with pytest.raises(WrongSize):
        model.read("labels")
    with pytest.raises(FileMissing):
        pull("./absent", settings=settings)
    (tiny_hub / "manifest.json").unlink()
    with pytest.raises(InvalidManifest, match="no such file"):
        pull("./tiny", settings=settings)


def test_shelves_come_before_the_registry(
    tiny_registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    write_tiny_model(shelf / "anything", version="0.9.0")
    shelved = Settings(settings.cache, models=(shelf,))
    assert pull("tiny", settings=shelved, registry=tiny_registry).origin == str(shelf / "anything")
    assert pull("tiny@1.0.0", settings=shelved, registry=tiny_registry).origin.startswith("file:")
    with pytest.raises(UnknownVersion, match=r"0\.9\.0, 1\.0\.0"):
        pull("tiny@2.0.0", settings=shelved, registry=tiny_registry)
    with pytest.raises(UnknownModel, match="Did you mean 'tiny'"):
        pull("tinny", settings=shelved, registry=tiny_registry)


def test_a_shelf_that_is_not_there_is_said(tiny_registry: Registry, settings: Settings) -> None:
    shelved = Settings(settings.cache, models=(Path("/nowhere"),))
    with pytest.raises(NoModelsFolder, match="ZOO_MODELS"):
        pull("tiny", settings=shelved, registry=tiny_registry)


# -- hubs ----------------------------------------------------------------------------------------


@pytest.fixture
def far_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else, with a transport for `far:`, that counts as network."""
    package = tmp_path / "site"
    (package / "far-1.0.dist-info").mkdir(parents=True)
    (package / "far-1.0.dist-info" / "METADATA").write_text("Name: far\nVersion: 1.0\n")
    (package / "far-1.0.dist-info" / "entry_points.txt").write_text(
        "[cellzoo.hubs]\nfar = far:Far\n"
    )
    (package / "far.py").write_text(
        textwrap.dedent(
            """
            import time
            from pathlib import Path

            class Far:
                needs_network = True

                def __init__(self, uri):
                    self.uri = uri

                def open(self, path):
                    return Slow((Path(self.uri[4:]) / path).open("rb"), path == "model.onnx")

            class Slow:
                def __init__(self, file, is_slow):
                    self.file, self.is_slow = file, is_slow

                def read(self, size):
                    if self.is_slow and self.file.tell() > 0:
                        time.sleep(60)
                    return self.file.read(min(size, 100) if self.is_slow else size)

                def close(self):
                    self.file.close()
            """
        )
    )
    monkeypatch.syspath_prepend(package)


def test_a_transport_of_another_package(far_away: None) -> None:
    hub = hub_for("far:/x")
    assert (hub.uri, hub.needs_network) == ("far:/x", True)
    with pytest.raises(UnknownScheme, match="embedded, far, file"):
        hub_for("gopher://x")


def test_offline_takes_only_what_is_here(
    far_away: None, tiny_hub: Path, tiny_registry: Registry, settings: Settings
) -> None:
    offline = Settings(settings.cache, offline=True)
    away = located(tiny_registry, f"far:{tiny_hub}")
    with pytest.raises(NotCached, match=f"far:{tiny_hub}"):
        pull("tiny", settings=offline, registry=away)
    here = located(tiny_registry, f"far:{tiny_hub}", str(tiny_hub))
    assert pull("tiny", settings=offline, registry=here).origin == str(tiny_hub)
    assert pull("tiny", settings=offline, registry=away).origin == "cache"


def test_the_embedded_hub_needs_no_network(checkout: object, settings: Settings) -> None:
    offline = Settings(settings.cache, offline=True)
    assert pull("tiny", settings=offline).origin == "embedded:tiny"
    for uri in ("embedded:", "embedded:../tiny", "embedded:.."):
        with pytest.raises(HubUnreachable):
            hub_for(uri).open("manifest.json")
    with pytest.raises(NotCarried, match="'none' is in the registry"):
        hub_for("embedded:none").open("manifest.json")


def test_a_folder_hub_waits_for_no_pipe(tiny_hub: Path) -> None:
    os.mkfifo(tiny_hub / "pipe")
    with pytest.raises(HubUnreachable, match="no file 'pipe'"):
        hub_for(tiny_hub.as_uri()).open("pipe")


def test_a_uri_with_spaces(tmp_path: Path, settings: Settings) -> None:
    folder = write_tiny_model(tmp_path / "my models" / "tiny")
    assert "%20" in folder.as_uri()
    assert pull("tiny", settings=settings, registry=registry_of(folder)).read("genes")


# -- several processes ---------------------------------------------------------------------------

PULL = """
import sys, time
from pathlib import Path
from zoo.pull import pull
from zoo.registry import Registry
from zoo.settings import Settings
registry = Registry.parse(Path(sys.argv[1]).read_bytes(), "test")
while not Path(sys.argv[3]).exists():
    time.sleep(0.005)
print(pull("tiny", settings=Settings(Path(sys.argv[2])), registry=registry).manifest.reference)
"""


def start_pull(tmp_path: Path, registry: Registry, cache: Path) -> subprocess.Popen[str]:
    (tmp_path / "registry.json").write_bytes(registry.render())
    words = [str(tmp_path / "registry.json"), str(cache), str(tmp_path / "go")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", PULL, *words], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_killed_pull_leaves_a_sound_cache(
    far_away: None, tiny_hub: Path, tiny_registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    process = start_pull(tmp_path, located(tiny_registry, f"far:{tiny_hub}"), settings.cache)
    graph = blob(settings, tiny_hub)
    deadline = time.monotonic() + 20
    while not list(graph.parent.glob(".*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    cache = Cache(settings.cache)
    assert cache.models() == cache.verify() == []
    assert list(settings.cache.rglob("*.part"))
    assert pull("tiny", settings=settings, registry=tiny_registry).read("graph")
    assert cache.verify() == []
    cache.prune()
    assert not list(settings.cache.rglob("*.part"))
    assert plan(tiny_registry.resolve("tiny"), cache).entry.name == "tiny"
    assert pull("tiny", settings=settings, registry=tiny_registry).origin == "cache"


def test_processes_that_pull_at_once(
    tiny_registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    processes = [start_pull(tmp_path, tiny_registry, settings.cache) for _ in range(3)]
    (tmp_path / "go").touch()
    printed = [process.communicate(timeout=30)[0] for process in processes]
    assert printed == ["tiny@1.0.0\n"] * 3
    assert Cache(settings.cache).verify() == []
    assert not list(settings.cache.rglob("*.part"))
    manifest = Cache(settings.cache).manifest("tiny", "1.0.0")
    assert Manifest.parse(manifest or b"", "cache").reference == "tiny@1.0.0"


# -- settings ------------------------------------------------------------------------------------


def test_settings_are_read_from_the_environment(tmp_path: Path) -> None:
    environ = {"ZOO_CACHE": "~/zoo", "ZOO_MODELS": f"/a{os.pathsep}~/b", "ZOO_OFFLINE": "1",
               "ZOO_CONFIG": "~/set"}  # fmt: skip
    read = Settings.read(environ)
    assert read == Settings(
        Path("~/zoo").expanduser(),
        (Path("/a"), Path("~/b").expanduser()),
        True,
        config=Path("~/set").expanduser(),
    )
    assert not Settings.read({"ZOO_OFFLINE": "0"}).offline
    assert Settings.read({}, offline=True).offline
    assert Settings.read({}).cache.name == "cellzoo"
