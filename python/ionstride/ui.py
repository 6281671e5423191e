"""What the user sees while work goes on: stage headings, bars with the time left, plain lines in logs."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PLAIN_EVERY_S = 30.0


class Screen:
    """Prints headings and progress: live bars on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        class Lasting(Console):
            """A console whose reader may go (| head): the work goes on in silence, for its results are files."""

            def on_broken_pipe(self) -> None:
                self.quiet = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

        self.console = Lasting(highlight=False, soft_wrap=True)
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._told: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False)

    def heading(self, stage: str, text: str) -> None:
        """Print what stage begins, or why it need not."""
        self.console.print(f"[bold]{stage:<10}[/bold] ", end="")
        self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print a line that should not be overlooked."""
        self.console.print("[yellow]note[/yellow]       ", end="")
        self.console.print(text, markup=False)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Show bars within the block."""
        self._tasks, self._begun = {}, {}
        if not sys.stdout.isatty():
            yield
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("           {task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[news]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as self._progress:
            yield
        self._progress = None

    def news(self, what: str, done: int, of: int, text: str = "") -> None:
        """Tell how far a piece of work is; `done` of `of`."""
        if self._progress is not None:
            if what not in self._tasks:
                self._tasks[what] = self._progress.add_task(what, total=of, news=text)
            self._progress.update(self._tasks[what], completed=done, total=of, news=text)
            return
        now = time.monotonic()
        first, done_first = self._begun.setdefault(what, (now, done))
        if done < of and (now - self._told.get(what, -PLAIN_EVERY_S) < PLAIN_EVERY_S or self._tasks.get(what) == done):
            return
        if done >= of and self._tasks.get(what) == "done":
            return
        if done >= of:
            self._tasks[what] = "done"
        else:
            self._tasks[what] = done
        self._told[what] = now
        left = ""
        if done > done_first and done < of:
            left = f", {time_words((of - done) * (now - first) / (done - done_first))} left"
        self.say(f"           {what}: {done}/{of}{left}{'; ' + text if text else ''}")


def time_words(seconds: float) -> str:
    """Return a duration as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
