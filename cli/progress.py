"""A progress bar for batches: done, failed, pictures a second, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..programs.batch import Progress


@contextmanager
def progress_bar(*, show: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for `run_batch` that draws the bar on standard error; None where nothing is to be shown."""
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("pictures", total=None, rate="", failed="")

        def update(progress: Progress) -> None:
            failed = f"[red]{progress.failed} failed" if progress.failed else ""
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            rate = f"{speed:.1f}/s" if speed else ""
            name = f"pictures (+{progress.already} from before)" if progress.already else "pictures"
            bar.update(
                task,
                description=name,
                total=progress.total,
                completed=progress.done,
                failed=failed,
                rate=rate,
            )

        yield update
