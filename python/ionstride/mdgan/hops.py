"""Bursts of hops of ions that are mobile for a while, which may be undone: the sparse noise behind the generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

_FORGOTTEN = 32  # bursts after which the first of a series is of no matter
_LATE = 6.9  # times the mean time until the last return: few come later still, and those then


@dataclass(frozen=True)
class Law:
    """How hops are drawn.

    Bursts of hops begin at random, some time after the last one.  A burst that is undone leaves its ion where it was:
    the next one does not follow it, but the last that was not undone.

    Attributes
    ----------
    chance : () of a burst in a record, mean over the time in which there may be one.
    moves : (V, K, 3) of a burst.
    offset : (V, K) records of the moves after the first; −1 where there are no more.
    limit : records after a burst before the next one, at least.
    follow : (V, M) numbers of bursts, one of which comes after a burst of that number.
    back, delay : chance that a burst is undone, or a return in its turn, and after how many records on average.
    mobile : part of the time in which an ion hops at all; it hops so much more often then.
    turn : mean records until an ion draws anew whether it is mobile; its memory of that.
    """

    chance: Tensor
    moves: Tensor
    offset: Tensor
    limit: Tensor
    follow: Tensor
    back: Tensor
    delay: Tensor
    mobile: Tensor
    turn: Tensor

    @property
    def longest(self) -> int:
        """Records after the beginning of a burst in which all that comes of it comes."""
        return int(_LATE * float(self.delay) / (1.0 - float(self.back))) + 1 + int(self.offset.max())


@dataclass(frozen=True)
class Later:
    """What a piece of noise leaves for the next.

    Attributes
    ----------
    due : (ions, longest, 3) moves in its first records.
    mobile : (ions) whether an ion is mobile.
    burst : (ions) number of an ion's last burst that was not undone.
    since : (ions) records since its end; negative where that is still to come.
    """

    due: Tensor
    mobile: Tensor
    burst: Tensor
    since: Tensor


def mobility(law: Law, ions: int, records: int, source: torch.Generator, before: Tensor | None = None) -> Tensor:
    """Return whether ions are mobile at each record, (ions, records), going on from their state `before`."""
    device = law.moves.device
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
    """Return first moves of bursts and all others, (ions, T, 3) each, scaled, and what is left for later.

    Parameters
    ----------
    law : of the hops.
    mobile : (ions, T) whether an ion is.
    source : source of randomness.
    before : what the records before left; without it nothing is due, and any burst has begun some time ago.
    """
    hit = (torch.rand(mobile.shape, generator=source, device=mobile.device) < law.chance / law.mobile) & mobile
    if before is None:
        last = any_burst(law, len(hit), source)
        lasts = _lasts(law)[last]
        interval = lasts + law.limit + 1.0 / law.chance.clamp_min(1e-9)
        since = (torch.rand(len(hit), generator=source, device=hit.device) * interval).long() - lasts
    else:
        last, since = before.burst, before.since
    first, after, last, since = draw_bursts(law, hit, last, since, source)
    if before is not None:
        after[:, : law.longest] += before.due
    records = mobile.shape[1]
    return first, after[:, :records], Later(after[:, records:], mobile[:, -1], last, since)


def draw_bursts(
    law: Law, hit: Tensor, last: Tensor, since: Tensor, source: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return first moves (ions, T, 3), all others (ions, T + longest, 3), and of the last burst number and since.

    Parameters
    ----------
    law, source : see `draw_hops`.
    hit : (ions, T) whether a burst begins, if there may be one.
    last, since : (ions) number of the burst before, and the records since its end.
    """
    (ions, records), late = hit.shape, law.longest
    first, after = law.moves.new_zeros(ions, records, 3), law.moves.new_zeros(ions, records + late, 3)
    last, since, (ion, record, number, times) = _chains(law, hit, last, since, source)
    moves = law.moves[number]
    first[ion, record] = moves[:, 0]

    def add(ion: Tensor, record: Tensor, move: Tensor) -> None:
        after.index_put_((ion, record.clamp_max(records + late - 1)), move, accumulate=True)

    for k in range(1, moves.shape[1]):
        offset = law.offset[number, k]
        more = offset >= 0
        add(ion[more], (record + offset)[more], moves[more, k])
    move, record = moves.sum(dim=1), record + _lasts(law)[number]
    while len(ion):
        still = times > 0
        ion, move, times, record = ion[still], -move[still], times[still] - 1, record[still]
        record = record + _wait(law.delay, len(ion), source)
        add(ion, record, move)
    return first, after, last, since


def _lasts(law: Law) -> Tensor:
    """Return the records from the first to the last move of each burst, (V)."""
    return law.offset.amax(dim=1)


def _chains(
    law: Law, hit: Tensor, last: Tensor, since: Tensor, source: torch.Generator
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return `last` and `since` at the end, and of all bursts ion, record, number and times undone."""
    (ions, records), device = hit.shape, hit.device
    places = torch.where(hit, torch.arange(records, device=device), records)
    # the next hit from each record on
    next_hit = torch.nn.functional.pad(places.flip(1).cummin(dim=1).values.flip(1), (0, 1), value=records)
    every, end, lasts = torch.arange(ions, device=device), -since, _lasts(law)
    found = [(every[:0],) * 4]
    while True:
        place = next_hit[every, (end + 1 + law.limit).clamp(0, records)]
        alive = place < records
        if not alive.any():
            return last, records - end, [torch.cat(column) for column in zip(*found, strict=True)]
        chosen = torch.randint(law.follow.shape[1], (ions,), generator=source, device=device)
        number, times = law.follow[last, chosen], _times_undone(law.back, ions, source)
        last = torch.where(alive & (times % 2 == 0), number, last)
        found.append((every[alive], place[alive], number[alive], times[alive]))
        end = torch.where(alive, place + lasts[number], end)


def any_burst(law: Law, ions: int, source: torch.Generator) -> Tensor:
    """Return numbers of bursts, each as likely as it is long after others: not all are followers of as many."""
    device = law.follow.device
    last = torch.randint(len(law.follow), (ions,), generator=source, device=device)
    for chosen in torch.randint(law.follow.shape[1], (_FORGOTTEN, ions), generator=source, device=device):
        last = law.follow[last, chosen]
    return last


def _times_undone(back: Tensor, count: int, source: torch.Generator) -> Tensor:
    """Return how often bursts are undone, redone, undone …: geometrically distributed from 0."""
    uniform = torch.rand(count, generator=source, device=back.device).clamp_min(1e-12)
    return (uniform.log() / back.clamp(1e-12, 0.99).log()).long()


def _wait(mean: Tensor, count: int, source: torch.Generator) -> Tensor:
    """Return geometrically distributed records of wait, from 1."""
    uniform = torch.rand(count, generator=source, device=mean.device).clamp_min(1e-12)
    stay = (1.0 - 1.0 / mean.clamp_min(1.0)).clamp_min(1e-12)
    return (uniform.log() / stay.log()).long() + 1
