"""Show a progress bar in a terminal, and nothing in log files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import DownloadColumn as BytesColumn


@contextmanager
def progress_bar(
    description: str, total: int | None, *, enabled: bool = True, in_bytes: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error while the block runs, and remove it at the end."""
    console = Console(stderr=True)
    if not enabled or not console.is_terminal or console.is_jupyter:
        yield lambda steps: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        BytesColumn() if in_bytes else MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)
