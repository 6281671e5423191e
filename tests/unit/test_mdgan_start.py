"""Where the generator starts: hops of ions that are mobile for a while, found from moments of the data."""

from dataclasses import replace

import numpy as np
import torch
from hopping import hopping

from ionstride.mdgan.cumulants import _bursts
from ionstride.mdgan.detect import detect_jumps
from ionstride.mdgan.hops import Law, draw_hops, mobility
from ionstride.mdgan.networks import Generator
from ionstride.mdgan.seen import Seen, seen_bursts, short_waits
from ionstride.mdgan.start import _chance, _often, make_start
from ionstride.mdgan.windows import windows
from ionstride.transport import displacements_from_arrays


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def law(mobile, turn):
    known = {"chance": 0.01, "back": 0.3, "delay": 5.0, "mobile": mobile, "turn": turn}
    follow = torch.tensor([[2], [3], [4], [5], [0], [1]])  # x after z, y after x, z after y
    return Law(
        moves=torch.stack([torch.eye(3), -torch.eye(3)], dim=1).view(6, 1, 3),
        offset=torch.zeros(6, 1, dtype=torch.int64), limit=torch.tensor(0), follow=follow,
        **{name: torch.tensor(value) for name, value in known.items()},
    )  # fmt: skip


def test_mobility_has_its_part_and_its_memory_across_pieces():
    """Fault: a latent state drawn anew at each piece of a stream, so that slow motion is lost every chunk."""
    pieces, before = [], None
    for _ in range(20):
        made = mobility(law(0.3, 50.0), 4000, 40, source(len(pieces)), before)
        before = made[:, -1]
        pieces.append(made)
    m = torch.cat(pieces, dim=1).double()
    assert abs(float(m.mean()) - 0.3) < 0.01
    m = m - 0.3
    for lag in (1, 20, 60):
        found = float((m[:, lag:] * m[:, :-lag]).mean() / (0.3 * 0.7))
        assert abs(found - (1.0 - 1.0 / 50.0) ** lag) < 0.03
    # the same across the joints of the pieces
    joint = (m[:, 40::40] * m[:, 39:-1:40]).mean() / (0.3 * 0.7)
    assert abs(float(joint) - 0.98) < 0.02


def heterogeneous(ions, frames, mobile, turn, seed):
    """Ions that rattle and, while mobile, hop on a cubic lattice; no returns."""
    rng = np.random.default_rng(seed)
    state = rng.random(ions) < mobile
    step = np.zeros((ions, frames, 3))
    for t in range(1, frames):
        anew = rng.random(ions) < 1.0 / turn
        state = np.where(anew, rng.random(ions) < mobile, state)
        hop = np.flatnonzero(state & (rng.random(ions) < 0.01 / mobile))
        step[hop, t, rng.integers(3, size=len(hop))] = 3.0 * rng.choice([-1.0, 1.0], size=len(hop))
    return np.cumsum(step, axis=1) + 0.2 * rng.standard_normal(step.shape)


def alpha2(x, lag):
    square = ((x[:, lag:] - x[:, :-lag]) ** 2).sum(axis=2)
    return 0.6 * (square**2).mean() / square.mean() ** 2 - 1.0


def test_start_finds_that_ions_differ_for_longer_than_a_window():
    """Fault: α₂ that decays within a window where ions stay mobile, or trapped, for several."""
    x = heterogeneous(60, 4001, 0.25, 150.0, seed=4)
    data = displacements_from_arrays(x, dt_ps=0.1, temperature_K=1000.0, volume_A3=1e4)
    start = make_start(windows(data, 64, 1))
    assert 0.15 < start.law.mobile < 0.4
    assert 60.0 < start.law.turn < 400.0
    made = Generator(start).sample(2000, 260, source()).detach().numpy() * start.scale_A
    long = heterogeneous(1500, 600, 0.25, 150.0, seed=5)
    for lag in (16, 64, 256):
        assert abs(alpha2(np.cumsum(made, axis=1, dtype=np.float64), lag) / alpha2(long, lag) - 1.0) < 0.3


def test_start_finds_no_such_difference_where_there_is_none():
    """Fault: noise of the fourth cumulants read as ions that are trapped."""
    for seed in (1, 2):
        assert make_start(windows(hopping(12, 4001, runs=3, seed=seed), 128, 1)).law.mobile > 0.8


def test_hops_follow_one_another_across_pieces():
    """Fault: what comes after a hop drawn anew at each piece of a stream; a return lost there."""
    pieces, later = [], None
    for k in range(12):
        mobile = mobility(law(1.0, 1.0), 200, 30, source(k), None if later is None else later.mobile)
        fresh, returns, later = draw_hops(law(1.0, 1.0), mobile, source(100 + k), later)
        pieces.append(torch.stack([fresh, returns]))
    fresh, returns = torch.cat(pieces, dim=2)
    hops = int((fresh != 0.0).sum())
    # a hop is undone 0.3 / 0.7 times on average
    assert abs(float(returns.abs().sum()) / hops - 0.3 / 0.7) < 0.1
    followed = undone = 0
    for ion, back in zip(fresh, returns, strict=True):
        axes = ion[ion.abs().sum(dim=1) > 0].abs().argmax(dim=1)
        steps = (axes[1:] - axes[:-1]) % 3
        followed += int((steps == 1).sum())
        undone += int((steps == 0).sum())
        if not back.any():
            assert (steps == 1).all()
    assert followed > 200 and undone > 40 and abs(undone / (followed + undone) - 0.3 / 1.3) < 0.08


def test_the_first_hop_of_a_series_is_as_any_other():
    """Fault: hops seldom made are as likely as any at the start of a series, and in the count of hops a record."""
    follow = torch.tensor([[0], [1], [0], [1], [2], [3]])  # x after x and y, y after z: in the end x alone
    lone = replace(law(1.0, 1.0), follow=follow, chance=torch.tensor(0.1), back=torch.tensor(0.0))
    fresh, _, _ = draw_hops(lone, mobility(lone, 500, 20, source()), source(1))
    assert fresh[..., 0].abs().sum() > 500 and not fresh[..., 1:].any()
    np.testing.assert_allclose(_often(follow.numpy()), [0.5, 0.5, 0.0, 0.0, 0.0, 0.0])


def honeycomb(ions, frames, seed):
    """Ions that rattle and hop at random between the sites of a honeycomb: three ways on from each."""
    rng = np.random.default_rng(seed)
    angle = 2.0 * np.pi * np.arange(3) / 3.0
    ways = 3.0 * np.stack([np.cos(angle), np.sin(angle), np.zeros(3)], axis=1)
    kind = rng.choice([-1.0, 1.0], size=ions)
    step = np.zeros((ions, frames, 3))
    for t in range(1, frames):
        hop = np.flatnonzero(rng.random(ions) < 0.01)
        step[hop, t] = kind[hop, None] * ways[rng.integers(3, size=len(hop))]
        kind[hop] *= -1.0
    return np.cumsum(step, axis=1) + 0.2 * rng.standard_normal(step.shape)


def test_start_knows_the_ways_on_from_a_site():
    """Fault: hops of independent directions: on a honeycomb one in three goes back, of independent ones one in six."""
    data = displacements_from_arrays(honeycomb(24, 4001, 1), dt_ps=0.1, temperature_K=1000.0, volume_A3=1e4)
    start = make_start(windows(data, 64, 1))
    made = Generator(start).sample(64, 2000, source()).detach().numpy() * start.scale_A
    path = np.concatenate([np.zeros((64, 1, 3)), np.cumsum(made, axis=1, dtype=np.float64)], axis=1)
    truth, ours = detect_jumps(honeycomb(64, 2001, 2), 0.1), detect_jumps(path, 0.1)
    assert abs(ours.back.sum() / ours.followed.sum() - truth.back.sum() / truth.followed.sum()) < 0.06
    assert abs(len(ours.ion) / len(truth.ion) - 1.0) < 0.15
    assert abs(made.mean()) < 4.0 * made.std() / np.sqrt(made.size)


def halfway(ions, frames, seed):
    """Ions that rattle and cross from site to site, 4 Å apart, by way of a short stay in the middle; or turn back."""
    rng = np.random.default_rng(seed)
    x = np.zeros((ions, frames, 3))
    for path in x:
        t, at = int(rng.exponential(250.0)), np.zeros(3)
        while t < frames:
            way = np.zeros(3)
            way[rng.integers(3)] = rng.choice([-2.0, 2.0])
            stay = 9 + int(rng.exponential(6.0))
            path[t : t + stay] = at + way
            at = at + (2.0 * way if rng.random() < 0.6 else 0.0)
            t += stay
            path[t:] = at
            t += int(rng.exponential(250.0))
    return x + 0.2 * rng.standard_normal(x.shape)


def test_a_burst_leads_from_site_to_site():
    """Fault: hops drawn one by one, so that ions stay for long half way between sites, where they seldom are."""
    data = displacements_from_arrays(halfway(24, 4001, 1), dt_ps=0.1, temperature_K=1000.0, volume_A3=1e4)
    train = windows(data, 128, 1)
    seen = seen_bursts(train)
    assert 9 < seen.limit < 100
    net = np.abs(seen.moves.sum(axis=1))
    assert (np.minimum(net, np.abs(net - 4.0)) < 0.5).all(axis=1).mean() > 0.8
    start = make_start(train)
    made = Generator(start).sample(400, 512, source()).detach().numpy() * start.scale_A
    ours, truth = np.cumsum(made, axis=1, dtype=np.float64), halfway(100, 4001, 2)

    def between(x):
        moved = np.abs(x[:, 200:] - x[:, :-200])
        return ((moved % 4.0 > 1.0) & (moved % 4.0 < 3.0)).mean()

    assert between(truth) < 0.04 and between(ours) < 1.5 * between(truth) + 0.01


def test_waits_of_two_kinds_are_told_from_one():
    """Fault: one exponential read as two, so that single hops are made bursts; or bursts that are one long state."""
    none = np.zeros(0)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        one, two = 10 + rng.exponential(80.0, 300), rng.random(300)
        assert short_waits(one, 10 + rng.exponential(80.0, 40)) == 0
        mixed = np.where(two < 0.4, 10 + rng.exponential(6.0, 300), 10 + rng.exponential(200.0, 300))
        assert 15 < short_waits(mixed, none) < 60
        mostly = np.where(two < 0.9, 10 + rng.exponential(6.0, 300), 10 + rng.exponential(200.0, 300))
        assert short_waits(mostly, none) == 0
    assert short_waits(mixed[:30], none) == 0


def test_bursts_are_whole_across_pieces():
    """Fault: a burst cut where a piece of a stream ends, or one begun too soon after a burst of the piece before."""
    chance = {"chance": torch.tensor(0.2), "back": torch.tensor(0.0), "delay": torch.tensor(1.0)}
    moves, offset = torch.eye(3).expand(2, 3, 3), torch.tensor([[0, 4, 11]]).expand(2, 3)
    long = replace(
        law(1.0, 1.0), moves=moves, offset=offset, limit=torch.tensor(5), follow=torch.tensor([[0], [1]]), **chance
    )
    pieces, later = [], None
    for k in range(20):
        mobile = mobility(long, 50, 7, source(k), None if later is None else later.mobile)
        first, after, later = draw_hops(long, mobile, source(100 + k), later)
        pieces.append((first + after).abs())
    x = torch.cat(pieces, dim=1)
    begun = x[..., 0].nonzero()
    assert len(begun) > 200
    for ion, record in begun.tolist():
        assert x[ion, record : record + 17, 0].sum() == 1.0  # the burst and its limit
        for axis, places in ((1, 4), (2, 11)):
            if record + places < x.shape[1]:
                assert x[ion, record + places, axis] == 1.0
    assert (x.sum(dim=2) <= 1.0).all()


def long_bursts(dur, limit, rate, mobile=(1.0, 1.0)):
    """A law of bursts of two moves along x, `dur` records apart, `rate` a record."""
    moves, offset = np.array([[[1.0, 0, 0]] * 2, [[-1.0, 0, 0]] * 2]), np.array([[0, dur]] * 2)
    follow = np.array([[0, 1], [0, 1]])
    chance = _chance(Seen(moves, offset, limit, True, follow), np.array([0.5, 0.5]), rate, mobile)
    known = {"chance": chance, "back": 0.0, "delay": 1.0, "mobile": mobile[0], "turn": mobile[1]}
    return Law(
        moves=torch.tensor(moves, dtype=torch.float32), offset=torch.tensor(offset), limit=torch.tensor(limit),
        follow=torch.tensor(follow), **{name: torch.tensor(value) for name, value in known.items()},
    )  # fmt: skip


def test_bursts_are_as_many_as_wanted_where_ions_are_mobile_for_a_while():
    """Fault: up to 2.8 times as many bursts, where ions become mobile while a burst and its limit last."""
    for mobile in ((1.0, 1.0), (0.5, 8.0), (0.5, 64.0), (0.2, 8.0), (0.2, 64.0), (0.4, 500.0)):
        made = long_bursts(20, 30, 0.004, mobile)
        first, _, _ = draw_hops(made, mobility(made, 1000, 2500, source(1)), source(2))
        assert abs(float((first[:, 500:] != 0).sum()) / (1000 * 2000 * 0.004) - 1.0) < 0.07


def test_bursts_are_as_many_in_the_first_records_as_later():
    """Fault: series that all begin where a burst has just ended: none for `limit` records, then too many at once."""
    for dur, limit in ((40, 100), (100, 100)):
        made = long_bursts(dur, limit, 0.004)
        first, _, _ = draw_hops(made, mobility(made, 20000, 600, source(3)), source(4))
        part = (first[..., 0] != 0).float().mean(dim=0).view(12, 50).mean(dim=1) / 0.004
        assert (abs(part - 1.0) < 0.08).all()


def test_a_burst_comes_before_a_long_limit_is_over():
    """Fault: no burst at all in the fourth cumulants where bursts are further apart than the longest lag."""
    path = _bursts(long_bursts(5, 200, 0.002), 64)
    np.testing.assert_allclose(np.abs(path[:, -1, 0]), 2.0)


def pockets(ions, frames, seed):
    """Ions that rattle, hop along x on a lattice, and visit a pocket beside their site, always above it."""
    rng = np.random.default_rng(seed)
    x = np.zeros((ions, frames, 3))
    for path in x:
        t = int(rng.exponential(100.0))
        while t < frames:
            if rng.random() < 0.6:
                path[t : t + 12 + int(rng.exponential(4.0)), 2] += 2.5
            else:
                path[t:, 0] += rng.choice([-3.0, 3.0])
            t += 60 + int(rng.exponential(150.0))
    return x + 0.2 * rng.standard_normal(x.shape)


def test_a_burst_run_backwards_goes_through_the_same_places():
    """Fault: moves with their sign changed alone: an excursion to where there is no site, on the other side.

    Fault: a rate spoilt by the axis along which ions always come back, where hops add but a constant to the MSD; a
    crash where noise makes that constant negative.
    """
    x = pockets(40, 4001, 2)
    train = windows(displacements_from_arrays(x, dt_ps=0.1, temperature_K=1000.0, volume_A3=1e4), 128, 1)
    seen, start = seen_bursts(train), make_start(train)
    for one in range(0, len(seen.moves), 2):
        k = int((seen.offset[one] >= 0).sum())
        np.testing.assert_allclose(seen.moves[one + 1, :k], -seen.moves[one, :k][::-1])
        np.testing.assert_array_equal(seen.offset[one + 1, :k], seen.offset[one].max() - seen.offset[one, :k][::-1])
    first, after, _ = draw_hops(start.law, mobility(start.law, 600, 3000, source()), source(1))
    ours = np.cumsum((first + after)[:, start.law.longest :].double().numpy() * start.scale_A, axis=1)
    z = ours[..., 2] - np.median(ours[..., 2], axis=1, keepdims=True)
    assert (z > 1.5).mean() > 0.04 and (z < -1.5).mean() < 0.6 * (z > 1.5).mean()
    msd, truth = (((path[:, 64:, 0] - path[:, :-64, 0]) ** 2).mean() for path in (ours, x))
    assert abs(msd / (truth - 2.0 * 0.2**2) - 1.0) < 0.12


def test_an_ion_that_hops_on_and_on_is_not_one_burst():
    """Fault: one ion's whole run taken for a burst: memory for as many moves of each, and a path copied as it was."""
    rng = np.random.default_rng(5)
    x = np.cumsum(
        np.where(rng.random((20, 4000, 1)) < 0.005, 3.0 * np.eye(3)[rng.integers(3, size=(20, 4000))], 0.0), axis=1
    )
    t = np.cumsum(9 + rng.exponential(4.0, 300).astype(int))
    x[0] = 0.0
    for record in t:
        x[0, record:] += 3.0 * np.eye(3)[rng.integers(3)] * rng.choice([-1.0, 1.0])
    x += 0.2 * rng.standard_normal(x.shape)
    seen = seen_bursts(windows(displacements_from_arrays(x, dt_ps=0.1, temperature_K=1e3, volume_A3=1e4), 64, 1))
    assert seen.limit > 0 and (seen.offset >= 0).sum(axis=1).max() < 40
