"""Hops at random times that may be undone and may set off others: the sparse noise that drives the generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

GENERATIONS = 64  # of hops set off by hops that are followed within a piece
_LATE = 6.9  # times the mean delay: a part of 10⁻³ would come later still


@dataclass(frozen=True)
class Law:
    """How hops are drawn.

    Attributes
    ----------
    chance : () of a spontaneous hop in a record.
    vectors : (V, 3) of which a hop is one, or its reverse.
    back, delay : chance that a hop is undone, and after how many records on average.
    onward, calm : chance that a hop sets off another one, of any vector, and after how many records.
    """

    chance: Tensor
    vectors: Tensor
    back: Tensor
    delay: Tensor
    onward: Tensor
    calm: Tensor

    @property
    def longest(self) -> int:
        """Records after which nothing set off is waited for."""
        return int(_LATE * float(torch.maximum(self.delay, self.calm))) + 1


def fresh_hops(law: Law, ions: int, records: int, source: torch.Generator) -> Tensor:
    """Return spontaneous hops (ions, records, 3), scaled; most are zero."""
    hit = torch.rand(ions, records, generator=source, device=law.vectors.device) < law.chance
    ion, record = hit.nonzero(as_tuple=True)
    moves = law.vectors.new_zeros(ions, records, 3)
    moves[ion, record] = draw_hops(law, len(ion), source)
    return moves


def draw_hops(law: Law, count: int, source: torch.Generator) -> Tensor:
    """Return hops (count, 3), forwards and backwards alike."""
    device = law.vectors.device
    which = torch.randint(2 * len(law.vectors), (count,), generator=source, device=device)
    return law.vectors[which // 2] * (2 * (which % 2) - 1)[:, None]


def with_children(law: Law, fresh: Tensor, waiting: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return all hops of a piece, and those that are due after its end.

    Parameters
    ----------
    law : of the hops.
    fresh : (ions, T, 3) spontaneous hops.
    waiting : (2, ions, longest, 3) hops due in the first records of the piece, set off before it: others and returns.
    source : source of randomness.

    Returns
    -------
    hops : (2, ions, T, 3) spontaneous ones and those set off, and returns.
    waiting : (2, ions, longest, 3) due after the piece.
    """
    ions, records, _ = fresh.shape
    late = waiting.shape[2]
    hops = fresh.new_zeros(2, ions, records + late, 3)
    hops[:, :, :late] = waiting
    hops[0, :, :records] += fresh
    at = (hops[:, :, :records].sum(dim=0) != 0.0).any(dim=2).nonzero(as_tuple=True)
    ion, record, move = at[0], at[1], hops[:, at[0], at[1]].sum(dim=0)
    for _ in range(GENERATIONS):
        if len(ion) == 0:
            break
        chance = torch.rand(2, len(ion), generator=source, device=fresh.device)
        sets_off, undone = chance[0] < law.onward, chance[1] < law.back
        new_ion = torch.cat([ion[sets_off], ion[undone]])
        when = torch.cat([
            record[sets_off] + _wait(law.calm, int(sets_off.sum()), late, source),
            record[undone] + _wait(law.delay, int(undone.sum()), late, source),
        ])  # fmt: skip
        new = torch.cat([draw_hops(law, int(sets_off.sum()), source), -move[undone]])
        kind = torch.cat([torch.zeros_like(ion[sets_off]), torch.ones_like(ion[undone])])
        hops.index_put_((kind, new_ion, when), new, accumulate=True)
        inside = when < records
        ion, record, move = new_ion[inside], when[inside], new[inside]
    return hops[:, :, :records], hops[:, :, records:]


def _wait(mean: Tensor, count: int, late: int, source: torch.Generator) -> Tensor:
    """Return geometrically distributed records of wait, 1 … late."""
    uniform = torch.rand(count, generator=source, device=mean.device).clamp_min(1e-12)
    stay = (1.0 - 1.0 / mean.clamp_min(1.0)).clamp_min(1e-12)
    return (uniform.log() / stay.log()).long().clamp_max(late - 1) + 1
