"""Hops of ions that are mobile for a while, which may be undone: the sparse noise behind the generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

GENERATIONS = 64  # of returns of returns that are followed within a piece
_LATE = 6.9  # times the mean delay: a part of 10⁻³ would come later still


@dataclass(frozen=True)
class Law:
    """How hops are drawn.

    Attributes
    ----------
    chance : () of a spontaneous hop in a record, mean over time.
    vectors : (V, 3) of which a hop is one, or its reverse: number 2 v, or 2 v + 1.
    follow : (2 V, M) numbers of hops, one of which is the spontaneous hop after a hop of that number.
    back, delay : chance that a hop is undone, and after how many records on average.
    mobile : part of the time in which an ion hops at all; it hops so much more often then.
    turn : mean records until an ion draws anew whether it is mobile; its memory of that.
    """

    chance: Tensor
    vectors: Tensor
    follow: Tensor
    back: Tensor
    delay: Tensor
    mobile: Tensor
    turn: Tensor

    @property
    def longest(self) -> int:
        """Records after which no return is waited for."""
        return int(_LATE * float(self.delay)) + 1


@dataclass(frozen=True)
class Later:
    """What a piece of noise leaves for the next.

    Attributes
    ----------
    returns : (ions, longest, 3) due in its first records.
    mobile : (ions) whether an ion is mobile.
    hop : (ions) number of an ion's last spontaneous hop.
    """

    returns: Tensor
    mobile: Tensor
    hop: Tensor


def mobility(law: Law, ions: int, records: int, source: torch.Generator, before: Tensor | None = None) -> Tensor:
    """Return whether ions are mobile at each record, (ions, records), going on from their state `before`."""
    device = law.vectors.device
    drawn = torch.rand(ions, records, generator=source, device=device) < law.mobile
    anew = torch.rand(ions, records, generator=source, device=device) * law.turn < 1.0
    if before is not None:
        drawn = torch.cat([before[:, None], drawn], dim=1)
        anew = torch.nn.functional.pad(anew, (1, 0))
    anew[:, 0] = True
    last = torch.where(anew, torch.arange(anew.shape[1], device=device), 0).cummax(dim=1).values
    return drawn.gather(1, last)[:, -records:]


def fresh_hops(
    law: Law, mobile: Tensor, source: torch.Generator, before: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return spontaneous hops (ions, records, 3), scaled, most of them zero, and the number of each ion's last one.

    Parameters
    ----------
    law : of the hops.
    mobile : (ions, records) whether an ion is.
    source : source of randomness.
    before : (ions) number of the last hop before; without it any.
    """
    device, ions = mobile.device, len(mobile)
    hit = (torch.rand(mobile.shape, generator=source, device=device) < law.chance / law.mobile) & mobile
    order = hit.cumsum(dim=1)
    count = order[:, -1]
    last = torch.randint(len(law.follow), (ions,), generator=source, device=device) if before is None else before
    numbers = []
    for k in range(int(count.max())):
        chosen = torch.randint(law.follow.shape[1], (ions,), generator=source, device=device)
        last = torch.where(k < count, law.follow[last, chosen], last)
        numbers.append(last)
    moves = law.vectors.new_zeros(*mobile.shape, 3)
    if numbers:
        ion, record = hit.nonzero(as_tuple=True)
        number = torch.stack(numbers, dim=1)[ion, order[ion, record] - 1]
        moves[ion, record] = law.vectors[number // 2] * (1 - 2 * (number % 2))[:, None]
    return moves, last


def with_returns(law: Law, fresh: Tensor, waiting: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the hops that undo others in a piece, and those due after its end.

    Parameters
    ----------
    law : of the hops.
    fresh : (ions, T, 3) spontaneous hops.
    waiting : (ions, longest, 3) returns due in the first records of the piece, of hops before it.
    source : source of randomness.

    Returns
    -------
    returns : (ions, T, 3).
    waiting : (ions, longest, 3) due after the piece.
    """
    ions, records, _ = fresh.shape
    late = waiting.shape[1]
    returns = fresh.new_zeros(ions, records + late, 3)
    returns[:, :late] = waiting
    both = fresh + returns[:, :records]
    ion, record = (both != 0.0).any(dim=2).nonzero(as_tuple=True)
    move = both[ion, record]
    for _ in range(GENERATIONS):
        if len(ion) == 0:
            break
        undone = torch.rand(len(ion), generator=source, device=fresh.device) < law.back
        ion, move = ion[undone], -move[undone]
        when = record[undone] + _wait(law.delay, len(ion), late, source)
        returns.index_put_((ion, when), move, accumulate=True)
        inside = when < records
        ion, record, move = ion[inside], when[inside], move[inside]
    return returns[:, :records], returns[:, records:]


def _wait(mean: Tensor, count: int, late: int, source: torch.Generator) -> Tensor:
    """Return geometrically distributed records of wait, 1 … late."""
    uniform = torch.rand(count, generator=source, device=mean.device).clamp_min(1e-12)
    stay = (1.0 - 1.0 / mean.clamp_min(1.0)).clamp_min(1e-12)
    return (uniform.log() / stay.log()).long().clamp_max(late - 1) + 1
