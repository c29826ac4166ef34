"""A progress bar for people: only on a terminal, and only on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def progress(items: Sequence[T], title: str, name: Callable[[T], str]) -> Iterator[T]:
    """The items one by one, with a bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=len(items))
        for item in items:
            bar.update(task, description=f"{title} {name(item)}")
            yield item
            bar.advance(task)
