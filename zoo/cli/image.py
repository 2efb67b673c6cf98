"""`zoo image`: container images of the runner and of models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import output
from zoo.cli.options import json_option, offline_option
from zoo.version import __version__

if TYPE_CHECKING:
    from zoo.container.command import EngineName
    from zoo.imaging.production import Made

# An engine builds these from containers/<name>.Dockerfile; every other name is a model's.
_BUILT = ("runner", "runner-gpu", "trainer")

engine_option = click.option(
    "--engine",
    type=click.Choice(["docker", "podman"]),
    default="docker",
    show_default=True,
    help="The engine that builds or takes the image.",
)


@click.group(no_args_is_help=False)
def image() -> None:
    """Make container images: the runner, and models on top of it."""


@image.command()
@click.argument("name")
@click.option(
    "--base-image", metavar="IMAGE",
    help="Built by an engine: what it is built in. A model: the runner that it is put on: an "
    "engine's image, oci://… or an archive of 'docker save'.",
)  # fmt: skip
@click.option("--runtime-image", metavar="IMAGE", help="What the runner runs on, if smaller.")
@click.option("--tag", metavar="IMAGE", help="What to call it. Default: cellzoo/<name>:<version>.")
@click.option("--push", metavar="OCI", help="Push it to oci://HOST[:PORT]/REPOSITORY:TAG.")
@click.option(
    "-o", "--output", "archive", type=click.Path(path_type=Path), metavar="ARCHIVE.tar",
    help="Write a model's image as an archive for 'docker load'.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing archive.")
@click.option("--constraints", type=click.Path(path_type=Path), help="Pins for pip, in a build.")
@click.option("--wheels", type=click.Path(path_type=Path), help="Wheels for pip, in a build.")
@click.option("--network", default="host", show_default=True, help="The network of a build.")
@engine_option
@offline_option
@json_option
def build(
    name: str,
    base_image: str | None,
    runtime_image: str | None,
    tag: str | None,
    push: str | None,
    archive: Path | None,
    overwrite: bool,
    constraints: Path | None,
    wheels: Path | None,
    network: str,
    engine: EngineName,
    offline: bool,
    as_json: bool,
) -> None:
    """Build the image NAME: runner, runner-gpu, trainer or a model.

    An engine builds the first three. A model's image is the runner and one layer more: it is put
    together without an engine, and pushed (--push), written (-o), or else loaded into the engine.
    """
    from zoo.errors import ConflictingOptions
    from zoo.imaging import production
    from zoo.imaging.production import Order

    if push and archive:
        raise ConflictingOptions("--push and -o both say where the image goes")
    order = Order(engine, base_image, tag, push, archive, overwrite)
    if name in _BUILT:
        if archive is not None:
            raise ConflictingOptions(f"-o is for models; 'docker save' writes {name!r}")
        from zoo.imaging.build_context import PipNeeds
        from zoo.imaging.recipe import Recipe

        needs = PipNeeds.read(constraints=constraints, wheels=wheels, offline=offline)
        tags, place = order.tags(name, __version__), "none" if offline else network
        recipe = Recipe(name, tags, base_image, runtime_image, place)
        _print_made(production.build(recipe, needs, order), as_json)
        return
    if runtime_image or constraints or wheels:
        raise ConflictingOptions("--runtime-image, --constraints and --wheels are for the runner")
    from zoo.pull import pull
    from zoo.settings import Settings

    model = pull(name, settings=Settings.read(offline=offline), on_notice=output.print_note)
    _print_made(production.put_together(model, order), as_json)


@image.command()
@click.argument("name")
@click.option(
    "-o", "--output", "sif", type=click.Path(path_type=Path), metavar="FILE.sif",
    help="Default: where 'zoo run --docker --engine apptainer' looks for it.",
)  # fmt: skip
@click.option(
    "--from", "archive", type=click.Path(path_type=Path), metavar="ARCHIVE.tar",
    help="An archive of 'zoo image build -o'. Default: the image in the Docker daemon.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the command and do nothing.")
def sif(name: str, sif: Path | None, archive: Path | None, dry_run: bool) -> None:
    """Make Apptainer's form of the image NAME: runner, runner-gpu or a model."""
    import shlex

    from zoo.container.images import Image
    from zoo.imaging import sif as conversion
    from zoo.loaded import known_registry
    from zoo.settings import Settings
    from zoo.shelf import catalog

    settings = Settings.read()
    if name in ("runner", "runner-gpu"):
        wanted = Image.of_runner(gpu=name == "runner-gpu")
    else:
        wanted = Image.of_model(catalog(known_registry(settings), settings.models).resolve(name))
    path = sif or wanted.sif(settings.cache)
    if dry_run:
        click.echo(shlex.join(conversion.argv(wanted, path, archive)))
        return
    conversion.convert(wanted, path, archive)
    output.print_text(f"Wrote {path}")


def _print_made(made: Made, as_json: bool) -> None:
    sent = made.pushed
    if as_json:
        told: dict[str, Any] = {"image": made.image, "place": made.place, "added": made.added}
        if sent:
            told |= {"digest": sent.digest, "uploaded": sent.uploaded, "mounted": sent.mounted}
        output.print_json(told)
        return
    added = f"; the model adds {output.in_bytes(made.added)}" if made.added else ""
    output.print_text(f"{made.image} is in {made.place}{added}")
    if sent:
        output.print_text(
            f"Sent {output.in_bytes(sent.uploaded)}, took over {output.in_bytes(sent.mounted)} "
            f"that were there; digest {sent.digest}"
        )
