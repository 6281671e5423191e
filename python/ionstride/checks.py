"""Checks at the boundary: one sentence that names the argument, what came and what was wanted."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

Array = npt.NDArray[np.float64]


def as_array(name: str, value: Any, shape: tuple[int | None, ...], dtype: Any = np.float64) -> Any:
    """Return a read-only array of the wanted shape and type, finite if of floats.

    Parameters
    ----------
    name : the argument's name, for the message.
    value : anything `numpy.asarray` takes.
    shape : wanted shape; `None` leaves a length free.
    dtype : wanted type.

    Raises
    ------
    InputError
        If the number of axes, a fixed length or finiteness is not as wanted.
    """
    # What nobody can write to is not copied: trajectories are large.
    frozen = isinstance(value, np.ndarray) and not value.flags.writeable
    array = np.asarray(value, dtype=dtype, order="C") if frozen else np.array(value, dtype=dtype, order="C")
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise InputError(f"{name} has shape {array.shape}, wanted {wanted}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        first = tuple(int(i) for i in bad[0])
        raise InputError(
            f"{name} holds {len(bad)} NaN or infinite value(s), the first at index {first}; "
            "remove or repair those frames"
        )
    array.flags.writeable = False
    return array


def nearest_name(name: str, known: Sequence[str]) -> str:
    """Return ' (did you mean X?)' for the nearest known name, or the list of known names."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(known)})" if known else ""


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raise `InputError` if a setting is none of the known words."""
    if value not in known:
        raise InputError(f"{name} = '{value}' is not known{nearest_name(value, known)}")


def check_mobile(symbols: Sequence[str], mobile: str) -> None:
    """Raise `InputError` if the mobile element is absent; the present ones are named."""
    if mobile not in symbols:
        present = sorted(set(symbols))
        letters = "".join(c for c in mobile if c.isalpha()).lower()
        meant = next((f" (did you mean '{s}'?)" for s in present if s.lower() == letters), "")
        raise InputError(f"mobile element '{mobile}' is not in the data{meant}; present: {', '.join(present)}")
