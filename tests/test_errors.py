from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import zoo.errors
from zoo.errors import ZooError

ROOT = Path(__file__).parents[1]

EXIT_CODES = set(range(1, 9))
CLASSES = [getattr(zoo.errors, name) for name in zoo.errors.__all__]
CONCRETE = [error for error in CLASSES if "__init__" in vars(error) and error is not ZooError]


def test_every_error_is_exported() -> None:
    defined = {
        name
        for module in vars(zoo.errors).values()
        if inspect.ismodule(module) and module.__name__.startswith("zoo.errors.")
        for name, found in vars(module).items()
        if inspect.isclass(found) and issubclass(found, ZooError)
    }
    assert sorted(defined) == sorted(zoo.errors.__all__)
    assert len(CONCRETE) > 40


@pytest.mark.parametrize("error", CONCRETE, ids=lambda error: error.__name__)
def test_the_text_of_an_error(error: type[ZooError]) -> None:
    shown = error(**error.example)
    assert shown.message.strip()
    assert shown.hint.strip()
    for text in (shown.message, shown.hint):
        assert "{" not in text, "a field was left open"
        assert "  " not in text
    assert str(shown) == f"{shown.message}\n{shown.hint}"
    assert shown.exit_code in EXIT_CODES
    assert shown.as_json() == {
        "error": error.__name__,
        "code": shown.exit_code,
        "message": shown.message,
        "hint": shown.hint,
    }


@pytest.mark.parametrize("error", CONCRETE, ids=lambda error: error.__name__)
def test_an_error_is_documented(error: type[ZooError]) -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    shown = error(**error.example)
    assert f"### {error.__name__}\n" in page
    assert f"Error: {shown.message}\n{shown.hint}\n" in page


@pytest.mark.parametrize("error", CONCRETE, ids=lambda error: error.__name__)
def test_an_error_keeps_its_fields(error: type[ZooError]) -> None:
    shown = error(**error.example)
    for name, value in error.example.items():
        kept = getattr(shown, name)
        assert kept == value or list(kept) == list(value), name


def test_no_error_is_raised_by_its_family(tmp_path: Path) -> None:
    """A bare family says nothing of the cause: each failure has a class of its own."""
    families = [error.__name__ for error in CLASSES if error not in CONCRETE]
    for module in sorted((ROOT / "zoo").rglob("*.py")):
        text = module.read_text(encoding="utf-8")
        assert not [name for name in families if f"raise {name}(" in text], module
