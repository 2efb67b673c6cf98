from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ran import Ran
from tiny_model import registry_of, write_tiny_model

from zoo.checkout import Checkout
from zoo.errors import (
    InvalidCard,
    InvalidRegistry,
    MalformedReference,
    NoCheckout,
    RegistryOutOfDate,
    UnknownModel,
    UnknownVersion,
)
from zoo.hubs import hub_for
from zoo.hubs.embedded import embedded_registry, embedded_root
from zoo.registry import Registry

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    root = tmp_path_factory.mktemp("models")
    return registry_of(
        write_tiny_model(root / "a", name="pbmc-celltype", version="1.10.0"),
        write_tiny_model(root / "b", name="pbmc-celltype", version="1.9.0"),
        write_tiny_model(root / "c", name="spot-domains"),
    )


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("pbmc-celltype", "pbmc-celltype@1.10.0"),
        ("pbmc-celltype@1.9.0", "pbmc-celltype@1.9.0"),
        ("spot-domains", "spot-domains@1.0.0"),
    ],
)
def test_a_reference_is_resolved(registry: Registry, reference: str, found: str) -> None:
    assert registry.resolve(reference).reference == found


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("pbmc-celltyp", "Did you mean 'pbmc-celltype'"),
        ("PBMC-Celltype", "Did you mean 'pbmc-celltype'"),
        ("pbmc_celltype", "Did you mean 'pbmc-celltype'"),
        ("domains", "Did you mean 'spot-domains'"),
        ("zzz", "'zoo list'"),
    ],
)
def test_near_misses(registry: Registry, name: str, near: str) -> None:
    with pytest.raises(UnknownModel, match=near):
        registry.resolve(name)


def test_an_unknown_version_lists_the_known_ones(registry: Registry) -> None:
    with pytest.raises(UnknownVersion, match=r"1\.9\.0, 1\.10\.0"):
        registry.resolve("pbmc-celltype@2.0.0")
    with pytest.raises(UnknownVersion, match=r"no version 'latest'"):
        registry.resolve("pbmc-celltype@latest")


@pytest.mark.parametrize(
    "reference", ["", "@", "pbmc-celltype@a b", "a@1", "a b", "pbmc-celltype@1.0.0\n", "a/b"]
)
def test_what_is_no_reference(registry: Registry, reference: str) -> None:
    with pytest.raises(MalformedReference):
        registry.resolve(reference)


def test_the_newest_of_each(registry: Registry) -> None:
    assert [e.reference for e in registry.newest()] == [
        "pbmc-celltype@1.10.0",
        "spot-domains@1.0.0",
    ]


# -- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"registry_version": 2, "models": []}',
        b'{"registry_version": 1, "models": [{"name": "x"}]}',
    ],
)
def test_a_damaged_registry(
    checkout: Checkout, run_zoo: Callable[..., Ran], content: bytes
) -> None:
    (checkout.root / "registry.json").write_bytes(content)
    with pytest.raises(InvalidRegistry, match="zoo registry build"):
        embedded_registry()
    assert run_zoo("list").code == 5
    assert run_zoo("list", "--json").json["error"] == "InvalidRegistry"


def test_a_cut_registry(checkout: Checkout) -> None:
    path = checkout.root / "registry.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidRegistry):
        embedded_registry()
    path.unlink()
    with pytest.raises(InvalidRegistry, match="No such file"):
        embedded_registry()


def test_a_wheel_carries_its_own_hub(tmp_path: Path) -> None:
    package = tmp_path / "zoo"
    package.mkdir()
    assert embedded_root(package) == tmp_path
    (package / "embedded").mkdir()
    assert embedded_root(package) == package / "embedded"


# -- building ------------------------------------------------------------------------------------


@pytest.mark.skipif(not list(ROOT.glob("cards/*/README.md")), reason="no cards here")
def test_the_shipped_registry_is_up_to_date() -> None:
    Checkout(ROOT).check()


@pytest.mark.skipif(not (ROOT / "registry.json").is_file(), reason="no registry here")
def test_shipped_models_are_where_the_registry_says() -> None:
    registry = embedded_registry(ROOT)
    assert registry.models
    for entry in registry.models:
        for location in entry.locations:
            hub = hub_for(location)
            assert not hub.needs_network
            hub.open("manifest.json").close()


def test_building_writes_only_what_changed(checkout: Checkout) -> None:
    assert checkout.build() == []
    path = checkout.root / "registry.json"
    before = path.stat().st_mtime_ns
    (checkout.root / "cards" / "tiny" / "manifest.json").write_text("{}")
    with pytest.raises(RegistryOutOfDate, match=r"cards/tiny/manifest\.json"):
        checkout.check()
    assert checkout.build() == ["cards/tiny/manifest.json"]
    assert path.stat().st_mtime_ns == before
    checkout.check()


def test_a_changed_file_makes_both_out_of_date(checkout: Checkout) -> None:
    (checkout.root / "cards" / "tiny" / "genes.tsv").write_text("symbol\tensembl_id\tweight\n")
    assert checkout.build() == ["cards/tiny/manifest.json", "registry.json"]


def test_a_folder_must_be_called_as_its_model(checkout: Checkout) -> None:
    write_tiny_model(checkout.root / "cards" / "other")
    with pytest.raises(InvalidCard, match="its folder is 'other'"):
        checkout.build()


def test_the_command(checkout: Checkout, run_zoo: Callable[..., Ran]) -> None:
    path = checkout.root / "registry.json"
    built = path.read_bytes()
    path.unlink()
    check = run_zoo("registry", "build", "--check", "--root", checkout.root)
    assert (check.code, check.out) == (1, "")
    assert "registry.json" in check.err
    assert not path.exists()
    ran = run_zoo("registry", "build", "--root", checkout.root, "--json")
    assert ran.json == {"written": ["registry.json"]}
    assert path.read_bytes() == built
    assert run_zoo("registry", "build", "--check", "--root", checkout.root).code == 0


def test_there_is_nothing_to_build_outside_a_checkout(
    tmp_path: Path, run_zoo: Callable[..., Ran]
) -> None:
    with pytest.raises(NoCheckout, match="--root"):
        Checkout(tmp_path).build()
    assert run_zoo("registry", "build", "--root", tmp_path).code == 2


def test_the_registry_is_json_for_other_tools(registry: Registry) -> None:
    (first, *_) = json.loads(registry.render())["models"]
    assert list(first)[:4] == ["name", "version", "digest", "size"]
