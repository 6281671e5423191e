"""Pieces of work that wait for outside programs, side by side in threads; when one fails the others end soon."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import TypeVar

from .errors import IonstrideError

Made = TypeVar("Made")
GoOn = Callable[[], None]
"""Raises `IonstrideError` once another piece has failed; to be called now and then."""


def side_by_side(pieces: Sequence[Callable[[GoOn], Made]], at_once: int) -> list[Made]:
    """Return what all pieces of work made, in their order; so many run at once.

    Raises
    ------
    The first error of a piece.
    """
    cancelled = Event()

    def go_on() -> None:
        if cancelled.is_set():
            raise IonstrideError("stopped, since another piece of work failed")

    with ThreadPoolExecutor(max_workers=max(1, min(at_once, len(pieces)))) as pool:
        futures = [pool.submit(piece, go_on) for piece in pieces]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            cancelled.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]
