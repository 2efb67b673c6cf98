"""The command `zoo`: one table of commands, one table from exceptions to text and exit code.

A command's module is imported when the command runs, so `zoo --help` costs next to nothing; and no
command catches an exception: what it raises is told here.
"""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from zoo.cli import output
from zoo.errors import ZooError
from zoo.version import __version__

# section → command → (module:object, what it does)
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Use": {
        "run": ("zoo.cli.run:run", "Run a model on a file."),
        "explain": ("zoo.cli.explain:explain", "Say which genes the labels of a file rest on."),
        "check": ("zoo.cli.check:check", "Say what a file holds and what would stop a run."),
        "prepare": ("zoo.cli.prepare:prepare", "Mend a file so that models can take it."),
        "domains": ("zoo.cli.domains:domains", "Find the domains of a tissue in a result."),
        "report": ("zoo.cli.report:report", "Make one page of a result, for people."),
    },
    "Train": {
        "split": ("zoo.cli.split:split", "Assign train, validation and test by whole groups."),
        "recipes": ("zoo.cli.recipes:recipes", "List the recipes and their settings."),
        "train": ("zoo.cli.train:train", "Make a model folder by a recipe."),
        "convert": (
            "zoo.cli.convert:convert",
            "Make a model folder of weights that others trained.",
        ),
        "calibrate": ("zoo.cli.calibrate:calibrate", "Fit a classifier to your labelled cells."),
    },
    "Look": {
        "list": ("zoo.cli.models:list_models", "List the models."),
        "search": ("zoo.cli.models:search", "Find models by words."),
        "example": ("zoo.cli.example:example", "Write a model's sample input."),
        "info": ("zoo.cli.info:info", "Show a model's card."),
    },
    "Contribute": {
        "evaluate": ("zoo.cli.evaluate:evaluate", "Measure a model on labelled data."),
        "new": ("zoo.cli.new:new", "Begin a model of your own."),
        "validate": (
            "zoo.cli.validate:validate",
            "Say what a model folder lacks.",
        ),
        "publish": ("zoo.cli.publish:publish", "Publish a model folder to a collection."),
        "diff": ("zoo.cli.diff:diff", "Show what changed between two versions of a model."),
        "test": ("zoo.cli.test:test", "Compare a model's answers with its stored ones."),
        "registry": (
            "zoo.cli.registry:registry",
            "Add, list and update registries.",
        ),
    },
    "Manage": {
        "pull": ("zoo.cli.models:pull", "Fetch a model into the cache."),
        "cache": ("zoo.cli.cache:cache", "List, verify and clean the cache."),
        "image": ("zoo.cli.image:image", "Make container images."),
        "bundle": ("zoo.cli.bundle:bundle", "Put a model into one file, or take one."),
        "doctor": ("zoo.cli.doctor:doctor", "Look at this machine and say what to mend."),
    },
}
_HIDDEN = {"in-image": "zoo.cli.model_image:in_image"}
_TARGETS = {name: target for section in COMMANDS.values() for name, (target, _) in section.items()}


class Commands(click.Group):
    """The group `zoo`, whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help text."""
        return list(_TARGETS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        target = _TARGETS.get(cmd_name) or _HIDDEN.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if args and args[0] not in {*_TARGETS, *_HIDDEN} and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _TARGETS, n=2)
            meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, without importing them."""
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 a check or test failed; 2 usage; 3 unusable input; 4 unknown "
    "model or version; 5 integrity; 6 hub or engine unreachable; 7 out of scope; 8 output cannot "
    "be written; 130 interrupted.",
)
@click.version_option(__version__, prog_name="zoo", message="%(prog)s %(version)s")
@click.pass_context
def zoo(ctx: click.Context) -> None:
    """Pretrained single-cell models: pull by name, run on a file, with confidence."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


# -- failures ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """What is told of an exception; its fields are the keys of the JSON form."""

    error: str
    code: int
    message: str
    hint: str


def _of_zoo_error(error: Any) -> Failure:
    return Failure(type(error).__name__, error.exit_code, error.message, error.hint)


def _of_usage_error(error: Any) -> Failure:
    path = error.ctx.command_path if error.ctx else "zoo"
    return Failure(
        "UsageError", 2, error.format_message(), f"'{path} --help' shows how it is used."
    )


def _of_interrupt(error: Any) -> Failure:
    return Failure("Interrupted", 130, "Interrupted; nothing was written.", "")


# Anything else is a fault of CellZoo and ends with its traceback.
FORMATTERS: dict[type[BaseException], Callable[[Any], Failure]] = {
    ZooError: _of_zoo_error,
    click.ClickException: _of_usage_error,
    click.Abort: _of_interrupt,
    KeyboardInterrupt: _of_interrupt,
}


def execute(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        with zoo.make_context("zoo", list(arguments)) as ctx:
            zoo.invoke(ctx)
        output.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:  # as in `zoo list | head`: the reader has all that it wanted
        output.discard()
        return 0
    except tuple(FORMATTERS) as error:
        formatter = next(FORMATTERS[kind] for kind in type(error).__mro__ if kind in FORMATTERS)
        return _tell(formatter(error), as_json="--json" in arguments)
    return 0


def main() -> NoReturn:
    """Entry point of the command `zoo`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, TextIOWrapper
        ):  # a label that the terminal cannot show must not end it
            stream.reconfigure(errors="backslashreplace")
    # A scheduler's time limit or `docker stop` ends a run as Ctrl-C does: nothing half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if "_ZOO_COMPLETE" in os.environ:
        zoo(prog_name="zoo")
    words = sys.argv[1:]
    if os.environ.get("ZOO_MODEL"):  # set in a model's image alone
        from zoo.cli.model_image import words_in_image

        words = words_in_image(words, _TARGETS)
    sys.exit(execute(words))


def _tell(failure: Failure, *, as_json: bool) -> int:
    if as_json:
        output.print_json(asdict(failure))
        return failure.code
    click.echo(f"Error: {output.plain(failure.message)}", err=True)
    if failure.hint:
        click.echo(output.plain(failure.hint), err=True)
    return failure.code
