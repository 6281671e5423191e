"""When rounds of learning end."""

from collections.abc import Sequence
from typing import Any

from ..settings import LearningSettings

IN_A_ROW = 2
STILL_FALLS = 0.85
"""Error on check frames over that of the round `IN_A_ROW` before: below it labels still teach."""


def why_ended(rounds: Sequence[dict[str, Any]], settings: LearningSettings) -> str:
    """Return why no further round is needed, or nothing.

    With one model: MD stayed intact in the last round.  With several, beside that: in two rounds running, no more
    than ``converged`` of the frames visited at the highest temperature deviated by more than the low level, and the
    error on check frames is not still falling: by less than 15 % against the round two before, where there is one.

    Parameters
    ----------
    rounds : records of the rounds so far: ``stopped``, ``intact`` and, with several models, ``hottest``
        {``temperature_K``, ``uncertain``}, None where the highest temperature was not reached.
    settings : the study's ``[learning]``.
    """
    last = rounds[-1]
    whole = all(share >= settings.intact_fraction for share in last["intact"].values())
    if last["stopped"] or not whole:
        return ""
    if settings.models == 1:
        return f"MD stayed intact in round {last['round']}"
    if len(rounds) < IN_A_ROW:
        return ""
    hottest = [r["hottest"] for r in rounds[-IN_A_ROW:]]
    if any(h is None or h["uncertain"] > settings.converged for h in hottest):
        return ""
    errors = [r.get("force_rmse_check_meV_A") for r in rounds[-IN_A_ROW - 1 :]]
    if len(errors) > IN_A_ROW and errors[0] and errors[-1] and errors[-1] < STILL_FALLS * errors[0]:
        return ""
    parts = " and ".join(f"{100 * h['uncertain']:.1f} %" for h in hottest)
    return (
        f"MD stayed intact in round {last['round']}, and in rounds {last['round'] - 1} and {last['round']} {parts} of "
        f"the frames at {hottest[-1]['temperature_K']:g} K deviated by more than the low level (at most "
        f"{100 * settings.converged:g} % wanted)"
    )
