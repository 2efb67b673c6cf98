"""`zoo list`, `zoo search` and `zoo pull`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, get_args

import click

from zoo.card import Task
from zoo.cli import output
from zoo.cli.options import json_option, offline_option

if TYPE_CHECKING:
    from zoo.pull import Progress
    from zoo.registry import Entry


@click.command("list")
@click.option(
    "--task",
    type=click.Choice(get_args(Task), case_sensitive=False),
    help="Only models for this task.",
)
@click.option("--organism", metavar="NAME", help="Only models for this organism, e.g. human.")
@click.option("--tissue", metavar="WORD", help="Only models whose tissues contain this word.")
@click.option("--all", "everything", is_flag=True, help="Also models that are not to be had here.")
@json_option
def list_models(
    task: str | None, organism: str | None, tissue: str | None, everything: bool, as_json: bool
) -> None:
    """List the models that can be pulled by name, the newest version of each.

    In a container these are the models that it holds.
    """
    from zoo.cache import Cache
    from zoo.loaded import known_registry
    from zoo.organism import canonical_organism
    from zoo.settings import Settings
    from zoo.shelf import newest, obtainable

    settings = Settings.read()
    known = newest(known_registry(settings), settings.models)
    entries = known if everything else obtainable(known, Cache(settings.cache))
    hidden = len(known) - len(entries)
    if task:
        entries = [entry for entry in entries if entry.task == task]
    if organism:
        wanted = canonical_organism(organism).lower()
        entries = [entry for entry in entries if entry.organism.lower() == wanted]
    if tissue:
        entries = [e for e in entries if any(tissue.lower() in t.lower() for t in e.tissues)]
    _print_entries(entries, as_json=as_json, none="No model fits. 'zoo list --all' shows all.")
    if hidden and not as_json:
        output.print_note(f"{hidden} more are in the registry and not here: zoo list --all")


@click.command()
@click.argument("words", nargs=-1, required=True)
@json_option
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Find models by WORDS: in names, tasks, tissues, organisms, summaries and labels."""
    from zoo import searching
    from zoo.loaded import known_registry
    from zoo.settings import Settings
    from zoo.shelf import newest

    settings = Settings.read()
    registry = known_registry(settings)
    models = [
        searching.Searchable.of(entry, searching.labels_of(entry, settings, registry))
        for entry in newest(registry, settings.models)
    ]
    none = f"No model has {' or '.join(words)}. 'zoo list' shows all."
    _print_entries(searching.search(models, words), as_json=as_json, none=none)


@click.command()
@click.argument("name")
@offline_option
@json_option
def pull(name: str, offline: bool, as_json: bool) -> None:
    """Fetch the model NAME, or NAME@VERSION, into the cache and verify every file."""
    from zoo import pull as pulling
    from zoo.settings import Settings

    with _progress(show=sys.stderr.isatty() and not as_json) as on_progress:
        model = pulling.pull(
            name,
            settings=Settings.read(offline=offline),
            on_progress=on_progress,
            on_notice=output.print_note,
        )
        for file in model.files:  # a damaged file of the cache is found and fetched again
            model.load(file)
    size = sum(file.size for file in model.files)
    if as_json:
        output.print_json(
            {
                "name": model.manifest.card.name,
                "version": model.manifest.card.version,
                "origin": model.origin,
                "digest": model.digest,
                "files": len(model.files),
                "bytes": size,
            }
        )
        return
    files = f"{len(model.files)} files, {output.in_bytes(size)}, verified; digest {model.digest}"
    if model.origin == "cache":
        output.print_text(f"{model.manifest.reference} is already in the cache: {files}")
    else:
        output.print_text(f"{model.manifest.reference} from {model.origin}: {files}")


def _print_entries(entries: Sequence[Entry], *, as_json: bool, none: str) -> None:
    if as_json:
        fields = ("name", "version", "task", "organism", "summary")
        output.print_json([entry.model_dump(include=set(fields)) for entry in entries])
    elif not entries:
        output.print_text(none)
    else:
        rows = [(e.name, e.version, e.task, e.organism, e.summary) for e in entries]
        output.print_table("", ("name", "version", "task", "organism", "summary"), rows)


@contextmanager
def _progress(*, show: bool) -> Iterator[Progress | None]:
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("pull")
        yield lambda done, total: bar.update(task, completed=done, total=total)
