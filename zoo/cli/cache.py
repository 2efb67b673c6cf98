"""`zoo cache`: the models on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo.cli import output
from zoo.cli.options import json_option

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.cache import Cache


@click.group(no_args_is_help=False)
def cache() -> None:
    """List, verify and clean the cache, which lies where ZOO_CACHE says."""


@cache.command("path")
def show_path() -> None:
    """Print the cache's folder."""
    output.print_text(str(_cache().root))


@cache.command("ls")
@json_option
def list_cached(as_json: bool) -> None:
    """List the models in the cache."""
    models = _cache().models()
    if as_json:
        output.print_json(
            [
                {
                    "name": model.name,
                    "version": model.version,
                    "digest": model.digest,
                    "files": len(model.blobs),
                    "bytes": model.size,
                }
                for model in models
            ]
        )
        return
    rows = [(m.name, m.version, output.in_bytes(m.size), m.digest[:12]) for m in models]
    if rows:
        output.print_table("", ("model", "version", "size", "digest"), rows)
    output.print_text(f"{output.in_bytes(_cache().size)} in {_cache().root}")


@cache.command()
@json_option
def verify(as_json: bool) -> None:
    """Read every file and compare it with its sha256; exits with 1 if one is damaged."""
    from zoo.errors import CacheDamaged

    found = _cache()
    damaged = _relative(found, found.verify())
    if damaged:
        raise CacheDamaged(damaged)
    sound = {"models": len(found.models()), "bytes": found.size, "damaged": []}
    if as_json:
        output.print_json(sound)
    else:
        output.print_text(
            f"All is sound: {sound['models']} model(s), {output.in_bytes(found.size)}."
        )


@cache.command("rm")
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove the model NAME (all its versions) or NAME@VERSION."""
    removed = _cache().remove(name)
    if as_json:
        output.print_json({"removed": [model.reference for model in removed]})
        return
    for model in removed:
        output.print_text(f"Removed {model.reference} from the cache.")


@cache.command()
@json_option
def prune(as_json: bool) -> None:
    """Remove damaged files, those that no model needs, and what broken-off pulls left."""
    found = _cache()
    before = found.size
    removed = _relative(found, found.prune())
    freed = before - found.size
    if as_json:
        output.print_json({"removed": removed, "bytes": freed})
    else:
        output.print_text(f"Removed {len(removed)} file(s), {output.in_bytes(freed)}.")


def _cache() -> Cache:
    from zoo.cache import Cache
    from zoo.settings import Settings

    return Cache(Settings.read().cache)


def _relative(cache: Cache, paths: list[Path]) -> list[str]:
    return [path.relative_to(cache.root).as_posix() for path in paths]
