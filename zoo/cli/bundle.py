"""`zoo bundle`: a model in one file, for machines without a network."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli import output as printing
from zoo.cli.options import json_option, offline_option, overwrite_option

if TYPE_CHECKING:
    from zoo.container.command import EngineName


class BundleGroup(click.Group):
    """`zoo bundle NAME` makes a bundle, `zoo bundle load FILE` takes one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take every first word that is no command as a model's name."""
        if args and args[0] not in self.commands:
            args = ["make", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let options stand before the name too: `zoo bundle -o FILE NAME`."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group(cls=BundleGroup, no_args_is_help=True)
def bundle() -> None:
    """Put a model into one file, or take one: 'zoo bundle NAME', 'zoo bundle load FILE'."""


@bundle.command("make")
@click.argument("name")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="OUT.zoo.tar",
    help="Default: <model>.zoo.tar in the current folder.",
)  # fmt: skip
@click.option(
    "--image", is_flag=True, help="Add the container image of the model, which the engine has."
)
@click.option(
    "--engine", type=click.Choice(["docker", "podman"]), default="docker", show_default=True,
    help="Who has the image.",
)  # fmt: skip
@overwrite_option
@offline_option
@json_option
def make(
    name: str,
    output: Path | None,
    image: bool,
    engine: EngineName,
    overwrite: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Write the model NAME with its card, sample and checksums into one file.

    'zoo bundle NAME' is short for 'zoo bundle make NAME'.
    """
    from zoo.bundles.packing import write_bundle
    from zoo.container.images import Image, saved_image
    from zoo.pull import is_path, locate, pull
    from zoo.registry import Entry
    from zoo.settings import Settings
    from zoo.writing.destination import destination

    settings = Settings.read(offline=offline)
    pulled = pull(name, settings=settings, on_notice=printing.print_note)
    found = None if is_path(name) else locate(name, settings)
    own = Entry.of(pulled.manifest, ["bundle:"], digest=pulled.digest)
    entry = found if isinstance(found, Entry) else own
    path = output or Path(f"{entry.name}.zoo.tar")
    with destination(path, overwrite=overwrite) as staging:
        wanted = Image.of_model(entry)
        with saved_image(wanted, engine, staging) if image else nullcontext() as archive:
            index = write_bundle(pulled, entry, staging, archive)
    size = path.stat().st_size
    if as_json:
        told = {"outputs": [str(path)], "model": entry.reference, "digest": entry.digest}
        printing.print_json({**told, "image": index.image, "bytes": size})
        return
    with_image = f" and the image {index.image}" if index.image else ""
    printing.print_text(
        f"Wrote {path}: {entry.reference}{with_image}, {printing.in_bytes(size)}. There: "
        f"zoo bundle load {path.name}"
    )


@bundle.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--no-image", is_flag=True, help="Leave out the container image.")
@json_option
def load(file: Path, no_image: bool, as_json: bool) -> None:
    """Verify the bundle FILE and take it into the cache; no network is needed."""
    from zoo.bundles.unpacking import load_bundle
    from zoo.settings import Settings

    found = load_bundle(file, Settings.read(), with_image=not no_image)
    entry = found.entry
    if as_json:
        told = {"model": entry.reference, "digest": entry.digest, "files": found.files}
        printing.print_json({**told, "image": found.image})
        return
    printing.print_text(
        f"{entry.reference} is in the cache: {found.files} files, verified; digest {entry.digest}"
    )
    if found.image:
        printing.print_text(f"The image {found.image} too; 'zoo run --docker' takes it from there.")
