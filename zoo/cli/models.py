"""`zoo list`, `zoo search` and `zoo pull`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import click

from zoo.card import Modality, OutputName, Task, ValueKind
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
@click.option("--architecture", metavar="WORD", help="Only architectures that contain this word.")
@click.option(
    "--modality",
    type=click.Choice(get_args(Modality), case_sensitive=False),
    help="Only models for this kind of measurement.",
)
@click.option(
    "--value-kind", type=click.Choice(get_args(ValueKind)), help="Only models that take these."
)
@click.option("--organism", metavar="NAME", help="Only models for this organism, e.g. human.")
@click.option("--tissue", metavar="WORD", help="Only models whose tissues contain this word.")
@click.option("--metric", metavar="NAME", help="Only models with this metric as their headline.")
@click.option("--beats-baseline", is_flag=True, help="Only headlines above the best baseline.")
@click.option(
    "--output", type=click.Choice(get_args(OutputName)), help="Only models with this output."
)
@click.option(
    "--interpretation", type=click.Choice(["attribution", "pathway_attention", "mask"]),
    help="Only models that explain themselves in this way.",
)  # fmt: skip
@click.option("--license", "license_", metavar="WORD", help="Only licenses that contain this word.")
@click.option("--largest", type=click.FloatRange(0), metavar="MB", help="Not larger than this.")
@click.option("--fastest", type=click.FloatRange(0), metavar="N", help="At least N cells/s.")
@click.option("--table", is_flag=True, help="The catalogue's table: headlines, size, speed, ….")
@click.option("--all", "everything", is_flag=True, help="Also models that are not to be had here.")
@json_option
def list_models(
    organism: str | None,
    license_: str | None,
    largest: float | None,
    table: bool,
    everything: bool,
    as_json: bool,
    **wanted: Any,
) -> None:
    """List the models that can be pulled by name, the newest version of each.

    In a container these are the models that it holds.
    """
    from zoo import catalogue
    from zoo.cache import Cache
    from zoo.loaded import known_registry
    from zoo.organism import canonical_organism
    from zoo.settings import Settings
    from zoo.shelf import newest, obtainable

    filters = catalogue.Wanted(
        organism=canonical_organism(organism) if organism else None,
        license=license_,
        largest=None if largest is None else int(largest * 1e6),
        **wanted,
    )
    settings = Settings.read()
    known = newest(known_registry(settings), settings.models)
    here = known if everything else obtainable(known, Cache(settings.cache))
    entries = [entry for entry in here if filters.fits(entry)]
    none = "No model fits. 'zoo list --all' shows all."
    if settings.models and not here:
        shelves = " or ".join(map(str, settings.models))
        none = f"No model is here. Put folders of models into {shelves}, or mount one there."
    if table and not as_json and entries:
        output.print_table("", catalogue.HEADS, [catalogue.line(entry) for entry in entries])
    else:
        _print_entries(entries, as_json=as_json, none=none)
    if len(here) < len(known) and not as_json:
        hidden = len(known) - len(here)
        output.print_note(f"The registry knows {hidden} more that are not here: zoo list --all")


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
@click.option(
    "--from", "uri", metavar="URI",
    help="Take it from the collection at this URI, and from nowhere else.",
)  # fmt: skip
@offline_option
@json_option
def pull(name: str, uri: str | None, offline: bool, as_json: bool) -> None:
    """Fetch the model NAME, or NAME@VERSION, into the cache and verify every file."""
    from zoo import adoption
    from zoo import pull as pulling
    from zoo.settings import Settings

    settings = Settings.read(offline=offline)
    with _progress(show=sys.stderr.isatty() and not as_json) as on_progress:
        how: dict[str, Any] = {"on_progress": on_progress, "on_notice": output.print_note}
        if uri is None:
            model = pulling.pull(name, settings=settings, **how)
        else:
            model = adoption.adopt(name, uri, settings, **how)
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
        output.print_json([entry.model_dump(mode="json") for entry in entries])
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
