"""Progress on a terminal: cells done, rate and time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zoo.run_options import Watch


@contextmanager
def watching(*, show: bool, notice: Callable[[str], None]) -> Iterator[Watch]:
    """A `Watch` that draws a bar on standard error if `show`, else stays quiet."""
    if not show:
        yield Watch(notice=notice)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeLeft(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("cells", total=None, rate="")

        def progress(done: int, total: int) -> None:
            speed = bar.tasks[task].speed
            rate = f"{speed:,.0f} cells/s" if speed else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield Watch(progress=progress, notice=notice)
