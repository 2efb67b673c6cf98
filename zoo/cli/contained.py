"""`zoo run --docker`: the options about containers, and the words that the run inside gets."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from zoo.cli import output as printing

_OWN = ("docker", "engine", "gpus", "memory", "dry_run")
_PATHS = ("results", "into")


def container_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about containers to a command."""
    for option in (
        click.option(
            "--dry-run", is_flag=True, help="With --docker: print the command and run nothing."
        ),
        click.option(
            "--memory", default="4g", show_default=True, metavar="SIZE", callback=_memory,
            help="With --docker: the most memory, e.g. 800m or 16g.",
        ),
        click.option("--gpus", metavar="WHICH", help="With --docker: give it GPUs, e.g. all."),
        click.option(
            "--engine", type=click.Choice(["docker", "podman", "apptainer"]), default="docker",
            show_default=True, help="With --docker: the program that runs the container.",
        ),
        click.option(
            "--docker", is_flag=True,
            help="Run in a container without network that sees only the input and the outputs.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def run(ctx: click.Context) -> NoReturn:
    """Run the command in a container and end with its exit code."""
    from zoo.container import contained_run
    from zoo.settings import Settings

    params = ctx.params
    asked = contained_run.Asked(
        reference=params["name"],
        file=params["file"],
        outputs=[str(path) for path in (*params["results"], params["into"]) if path is not None],
        options=list(_passed_on(ctx)),
        cwd=str(Path.cwd()),
        engine=params["engine"],
        gpus=params["gpus"],
        memory=params["memory"],
        threads=params["threads"],
    )
    settings = Settings.read(offline=params["offline"])
    if params["dry_run"]:
        click.echo(shlex.join(contained_run.dry_run(asked, settings)))
        ctx.exit(0)
    code = contained_run.run(
        asked,
        settings,
        on_line=lambda line: click.echo(line, err=True, nl=False),
        on_notice=printing.print_note,
    )
    ctx.exit(code)


def refuse_alone(ctx: click.Context) -> None:
    """Refuse options about containers where no container was asked for.

    Raises
    ------
    ConflictingOptions

    """
    from zoo.errors import ConflictingOptions

    for name in _OWN:
        if name != "docker" and _is_given(ctx, name):
            raise ConflictingOptions(
                f"--{name.replace('_', '-')} is for --docker, which is not given"
            )


def _passed_on(ctx: click.Context) -> Iterator[str]:
    """The options as they were given, without those about the container."""
    from zoo.container.mounts import inner_word

    for param in ctx.command.params:
        name = param.name or ""
        if not isinstance(param, click.Option) or name in _OWN or not _is_given(ctx, name):
            continue
        flag = max(param.opts, key=len)
        value = ctx.params[name]
        for part in value if param.multiple else [value]:
            word = inner_word(str(part)) if name in _PATHS else str(part)
            yield from [flag] if param.is_flag else [flag, word]


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)


def _memory(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A size in the notation of the engines."""
    number, unit = value[:-1], value[-1:].lower()
    if not (number.isdecimal() and unit in "kmg"):
        raise click.BadParameter(f"{value!r} is no size such as 800m or 4g", ctx, param)
    return value
