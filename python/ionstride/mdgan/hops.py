"""Hops of ions that are mobile for a while, which may be undone: the sparse noise behind the generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

_FORGOTTEN = 32  # hops after which the first of a series is of no matter
_LATE = 6.9  # times the mean time until the last return: few come later still, and those then


@dataclass(frozen=True)
class Law:
    """How hops are drawn.

    A hop that is undone leaves its ion where it was: the next one does not follow it, but the last that was not undone.

    Attributes
    ----------
    chance : () of a spontaneous hop in a record, mean over time.
    vectors : (V, 3) of which a hop is one, or its reverse: number 2 v, or 2 v + 1.
    follow : (2 V, M) numbers of hops, one of which is the spontaneous hop after a hop of that number.
    back, delay : chance that a hop is undone, or a return in its turn, and after how many records on average.
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
        """Records after a hop in which all its returns come."""
        return int(_LATE * float(self.delay) / (1.0 - float(self.back))) + 1


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


def draw_hops(
    law: Law, mobile: Tensor, source: torch.Generator, before: Later | None = None
) -> tuple[Tensor, Tensor, Later]:
    """Return spontaneous hops and returns, (ions, T, 3) each, scaled, most of them zero, and what they leave for later.

    Parameters
    ----------
    law : of the hops.
    mobile : (ions, T) whether an ion is.
    source : source of randomness.
    before : what the records before left; without it no returns are due, and any hop may come first.
    """
    device, (ions, records) = mobile.device, mobile.shape
    hit = (torch.rand(mobile.shape, generator=source, device=device) < law.chance / law.mobile) & mobile
    order = hit.cumsum(dim=1)
    count = order[:, -1]
    last = _any_hop(law, ions, source) if before is None else before.hop
    numbers, undone = [last], [torch.zeros_like(last)]
    for k in range(int(count.max())):
        chosen = torch.randint(law.follow.shape[1], (ions,), generator=source, device=device)
        number, times = law.follow[last, chosen], _times_undone(law.back, ions, source)
        last = torch.where((k < count) & (times % 2 == 0), number, last)
        numbers.append(number)
        undone.append(times)
    ion, record = hit.nonzero(as_tuple=True)
    which = order[ion, record]
    number, times = torch.stack(numbers, dim=1)[ion, which], torch.stack(undone, dim=1)[ion, which]
    move = law.vectors[number // 2] * (1 - 2 * (number % 2))[:, None]
    fresh, late = law.vectors.new_zeros(ions, records, 3), law.longest
    fresh[ion, record] = move
    returns = law.vectors.new_zeros(ions, records + late, 3)
    if before is not None:
        returns[:, :late] = before.returns
    while True:
        still = times > 0
        ion, move, times = ion[still], -move[still], times[still] - 1
        if len(ion) == 0:
            break
        record = record[still] + _wait(law.delay, len(ion), source)
        returns.index_put_((ion, record.clamp_max(records + late - 1)), move, accumulate=True)
    return fresh, returns[:, :records], Later(returns[:, records:], mobile[:, -1], last)


def _any_hop(law: Law, ions: int, source: torch.Generator) -> Tensor:
    """Return numbers of hops, each as likely as it is long after others: not all are followers of as many."""
    device = law.follow.device
    last = torch.randint(len(law.follow), (ions,), generator=source, device=device)
    for chosen in torch.randint(law.follow.shape[1], (_FORGOTTEN, ions), generator=source, device=device):
        last = law.follow[last, chosen]
    return last


def _times_undone(back: Tensor, count: int, source: torch.Generator) -> Tensor:
    """Return how often hops are undone, redone, undone …: geometrically distributed from 0."""
    uniform = torch.rand(count, generator=source, device=back.device).clamp_min(1e-12)
    return (uniform.log() / back.clamp(1e-12, 0.99).log()).long()


def _wait(mean: Tensor, count: int, source: torch.Generator) -> Tensor:
    """Return geometrically distributed records of wait, from 1."""
    uniform = torch.rand(count, generator=source, device=mean.device).clamp_min(1e-12)
    stay = (1.0 - 1.0 / mean.clamp_min(1.0)).clamp_min(1e-12)
    return (uniform.log() / stay.log()).long() + 1
