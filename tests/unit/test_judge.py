"""The judge on data of known answer: barriers, D, g(r), geometries whose errors are planted."""

import numpy as np

from ionstride.judge.barrier import barrier_bias
from ionstride.judge.hops import find_hops
from ionstride.records import Trajectory
from ionstride.units import KB_EV_K

SITE_A = 3.0
KELVIN = 520.0


def chain(barrier_eV, *, ions=60, duration_ps=25.0, record_ps=0.05, seed=3, uneven=True):
    """Ions that hop along x from site to site of a cosine potential, beside four atoms at rest; wells in y and z."""
    rng = np.random.default_rng(seed)
    kT, mobility, dt = KB_EV_K * KELVIN, 90.0, 0.002
    steps = round(duration_ps / dt)
    k = 2 * np.pi / SITE_A
    x = np.zeros((ions, 3))
    keep = np.sort(rng.choice(steps, round(duration_ps / record_ps), replace=False)) if uneven else np.arange(0, steps, 25)
    kept = set(keep.tolist())
    out = []
    for step in range(steps):
        if step in kept:
            out.append(x.copy())
        force = np.column_stack([-0.5 * barrier_eV * k * np.sin(k * x[:, 0]), -1.0 * x[:, 1], -1.0 * x[:, 2]])
        x = x + mobility * force * dt + np.sqrt(2 * mobility * kT * dt) * rng.standard_normal(x.shape)
    r = np.array(out)
    place = np.column_stack([np.zeros(ions), 12.0 * np.arange(ions), np.full(ions, 6.0)])
    still = np.column_stack([np.zeros(4), 12.0 * np.arange(4), np.zeros(4)])
    positions = np.concatenate([r + place, np.broadcast_to(still, (len(r), 4, 3))], axis=1)
    path = Trajectory(
        ("Li",) * ions + ("S",) * 4, positions, np.diag([12.0, 12.0 * ions, 12.0]), keep * dt, KELVIN, {}
    )
    return path, r


def along(r, barrier_eV):
    """Forces of the cosine potential on the ions, (T, n, 3)."""
    k = 2 * np.pi / SITE_A
    return np.stack([-0.5 * barrier_eV * k * np.sin(k * r[..., 0]), -r[..., 1], -r[..., 2]], axis=-1)


def with_forces(hops, reference, model, energy):
    return [(hop, reference[hop.rows, hop.atom], model[hop.rows, hop.atom], energy[hop.rows]) for hop in hops]
