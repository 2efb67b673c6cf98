"""A process that is killed in the middle of a pull or a publish: nothing lost, nothing half there.

`ZOO_TEST_KILLS` says at how many random points; `make nightly` takes more than CI does.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from complete_model import copy_of, write_complete_model

from zoo.adoption import adopt
from zoo.cache import Cache
from zoo.contributing.publishing import publish
from zoo.hubs.collection import collection_at
from zoo.pull import in_place
from zoo.registry import Registry
from zoo.settings import Settings

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ZOO_TEST_KILLS", "4"))

# Streams and writes that take their time, so that a kill falls into every part of the work; a trial
# takes long and stores nothing, so it is left out.
_SLOW = """
import sys, time
import zoo.hubs.folder, zoo.hubs.embedded, zoo.pull, zoo.staging
from pathlib import Path

class Slow:
    def __init__(self, stream):
        self.stream = stream
    def read(self, size=-1):
        time.sleep(0.01)
        return self.stream.read(min(size, 4096) if size > 0 else size)
    def close(self):
        self.stream.close()

def slowly(path, uri, real=zoo.hubs.folder.open_file):
    return Slow(real(path, uri))

zoo.hubs.folder.open_file = slowly
write_bytes = Path.write_bytes
def pieces(self, content):
    with self.open("wb") as file:
        for start in range(0, len(content), 4096):
            time.sleep(0.005)
            file.write(content[start:start + 4096])
Path.write_bytes = pieces
zoo.pull.admit = lambda *_: None
from zoo.settings import Settings
settings = Settings(cache=Path(sys.argv[1]))
print("ready", flush=True)
"""
_PULL = """
from zoo.adoption import adopt
adopt("killed", sys.argv[2], settings)
"""
_PUBLISH = """
from zoo.contributing import publishing
from zoo.contributing.validating import Report
from zoo.manifest import Manifest
folder = Path(sys.argv[3])
manifest = Manifest.of_folder(folder)
publishing.ensure_valid = lambda *_: Report(folder, "deep", [], manifest)
publishing.publish(folder, sys.argv[2])
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_complete_model(tmp_path_factory.mktemp("model") / "killed", name="killed")


@pytest.fixture(scope="module")
def shared(model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = str(tmp_path_factory.mktemp("shared"))
    publish(model, uri)
    return uri


def start(script: str, *words: str | Path) -> subprocess.Popen[str]:
    """A process that has done its imports."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW + script, *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def whole_seconds(script: str, *words: str | Path) -> float:
    """How long it takes when nobody kills it."""
    begun = time.monotonic()
    with start(script, *words) as process:
        assert process.wait(120) == 0
    return time.monotonic() - begun


def killed(script: str, after: float, *words: str | Path) -> None:
    with start(script, *words) as process:
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


def test_killed_pulls(shared: str, model: Path, tmp_path: Path) -> None:
    length = whole_seconds(_PULL, tmp_path / "first", shared)
    points = random.Random(0)
    for number in range(KILLS):
        cache = Cache(tmp_path / str(number))
        killed(_PULL, points.uniform(0, length), cache.root, shared)
        for known in cache.models():  # what is named is whole
            assert known.size == sum(file.size for file in in_place(model).files)
        assert cache.verify() == []
        pulled = adopt("killed", shared, Settings(cache=cache.root))
        assert all(pulled.load(file) for file in pulled.files)
        cache.prune()
        assert [known.reference for known in cache.models()] == ["killed@1.0.0"]


def test_killed_publishes(model: Path, tmp_path: Path) -> None:
    length = whole_seconds(_PUBLISH, tmp_path / "cache", tmp_path / "first", model)
    points = random.Random(1)
    for number in range(KILLS):
        uri = str(tmp_path / f"shared-{number}")
        killed(_PUBLISH, points.uniform(0, length), tmp_path / "cache", uri, model)
        content = collection_at(uri).registry()
        for entry in Registry.parse(content, uri).models if content else []:
            in_place(Path(entry.locations[0]))
        done = publish(copy_of(model, tmp_path / f"again-{number}"), uri)
        pulled = adopt("killed", uri, Settings(cache=tmp_path / f"cache-{number}"))
        assert pulled.digest == done.entry.digest


def test_eight_processes_pull_at_once(shared: str, tmp_path: Path) -> None:
    words = (tmp_path / "cache", shared)
    processes = [start(_PULL, *words) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda process: process.wait(120), processes))
    assert codes == [0] * 8
    cache = Cache(tmp_path / "cache")
    assert cache.verify() == []
    assert [known.reference for known in cache.models()] == ["killed@1.0.0"]
    assert cache.stale() == []
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
