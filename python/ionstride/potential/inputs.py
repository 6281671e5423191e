"""Settings → DeePMD's input.json."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..settings import PotentialSettings
from .dataset import Room

STABLE = 0.4
"""Part of the steps in which the learning rate of the schedule ``wsd`` stays as it is."""
WARM_UP = 200
"""First steps of the schedule ``wsd``, in which the learning rate rises from a tenth."""
COMPILED_FROM, COMPILED_PIECE = 10_000, 1000
"""Steps, and steps of a segment, from which torch compiles the training of ``dpa4``.

It takes some minutes once and one for each further segment, then half the time a step."""
SEGMENTS = 5
"""Segments that a training by ``wsd`` has at least: in each the rate falls linearly."""


def training_input(
    settings: PotentialSettings,
    *,
    type_map: tuple[str, ...],
    room: Room,
    train: Path,
    valid: Path,
    has_virial: bool,
    seed: int,
    steps: int,
    start_lr: float | None = None,
    first: int = 0,
) -> dict[str, Any]:
    """Return the input of ``dp train`` for one segment of a training: from step `first` to the next checkpoint.

    Parameters
    ----------
    settings : the study's ``[potential]``.
    type_map : element names in the model's order.
    room : for neighbours, by `room_for_neighbours`.
    train, valid : data folders; a string as DeePMD's ``systems`` stands for all systems in it.
    has_virial : whether virials are fitted.
    seed : of weights and batches.
    steps : training steps of the whole, as for `whole_pieces`.
    start_lr : first learning rate if not the settings' (continued training).
    first : step at which the segment begins.  The learning rate is that of the whole training at every step; the
        batches are drawn by a seed of the segment's own, since a checkpoint does not hold their order.
    """
    steps, save = segments_of(settings, steps)
    net: dict[str, Any] = {"seed": seed, "precision": settings.precision}
    start = settings.start_lr if start_lr is None else start_lr
    last = min(first + save, steps)
    rates = _learning_rates(settings, start, steps, first, last)
    virial = (0.02, 1.0) if has_virial else (0.0, 0.0)
    return {
        "model": _model(settings, type_map, room, net, steps >= COMPILED_FROM and save >= COMPILED_PIECE),
        "learning_rate": rates,
        "loss": {
            "type": "ener",
            **_weights("e", settings.start_pref_e, settings.limit_pref_e, rates["start_lr"] / start),
            **_weights("f", settings.start_pref_f, settings.limit_pref_f, rates["start_lr"] / start),
            **_weights("v", *virial, rates["start_lr"] / start),
        },
        "training": {
            "training_data": {"systems": str(train), "batch_size": settings.batch_size},
            "validation_data": {"systems": str(valid), "batch_size": 4, "numb_btch": 2},
            "numb_steps": last,
            "seed": segment_seed(seed, first),
            "disp_file": "lcurve.out",
            "disp_freq": _divisor_at_most(save, 100),
            "save_freq": save,
            "save_ckpt": "model.ckpt",
            "max_ckpt_keep": 3,
        },
    }


def learning_rate(settings: PotentialSettings, start: float, step: int, steps: int) -> float:
    """Return the learning rate at a step of a training that begins with `start`.

    ``exp`` falls by the same factor in each step.  ``wsd`` stays for `STABLE` of the steps, then falls as half a
    cosine: a net learns most while the rate is high, and what its noise adds goes at the end.
    """
    stop = min(settings.stop_lr, start)
    if settings.schedule == "exp":
        return float(start * (stop / start) ** (step / steps))
    share = max(0.0, step / steps - STABLE) / (1.0 - STABLE)
    return stop + (start - stop) * 0.5 * (1.0 + math.cos(math.pi * share))


def _learning_rates(settings: PotentialSettings, start: float, steps: int, first: int, last: int) -> dict[str, Any]:
    """Return DeePMD's schedule for a segment; it counts from step 0 to the end of the segment."""
    if settings.schedule == "exp":
        decay_steps = max(1, steps // 200)
        stop = min(settings.stop_lr, start)
        rate = (stop / start) ** (decay_steps / steps)
        end = learning_rate(settings, start, last, steps)
        return {"type": "exp", "start_lr": start, "stop_lr": end, "decay_steps": decay_steps, "decay_rate": rate}
    begin, end = (learning_rate(settings, start, step, steps) for step in (first, last))
    warm_up = WARM_UP if first == 0 and last > 2 * WARM_UP else 0
    return {
        "type": "wsd",
        "start_lr": begin,
        "stop_lr": end,
        "decay_type": "linear",
        "decay_phase_ratio": min(1.0, (last - first + 0.5) / last),  # from `first` on; DeePMD rounds the steps down
        "warmup_steps": warm_up,
        "warmup_start_factor": 0.1,
    }


def _weights(name: str, start: float, limit: float, share: float) -> dict[str, float]:
    """Return weights of the loss for a segment that begins with a `share` of the whole training's first rate.

    DeePMD moves them from the first to the last with the rate over the segment's own first rate.
    """
    return {f"start_pref_{name}": limit + (start - limit) * share, f"limit_pref_{name}": limit}


def _model(
    settings: PotentialSettings, type_map: tuple[str, ...], room: Room, net: dict[str, Any], compiled: bool
) -> dict[str, Any]:
    if settings.descriptor == "dpa4":
        return {
            "type": "dpa4",
            "type_map": list(type_map),
            "descriptor": _dpa4(settings, room["total"][0], net),
            "fitting_net": {"type": "dpa4_ener", "neuron": list(settings.fitting), **net},
            "use_compile": compiled,
        }
    return {
        "type_map": list(type_map),
        "descriptor": _descriptor(settings, room, net),
        "fitting_net": {"neuron": list(settings.fitting), "resnet_dt": True, **net},
    }


def _descriptor(settings: PotentialSettings, room: Room, net: dict[str, Any]) -> dict[str, Any]:
    se_e2_a = {
        "type": "se_e2_a",
        "sel": room["far"],
        "rcut": settings.rcut_A,
        "rcut_smth": settings.rcut_smth_A,
        "neuron": list(settings.neuron),
        "axis_neuron": settings.axis_neuron,
        "type_one_side": settings.type_one_side,
        **net,
    }
    if settings.descriptor == "se_e2_a":
        return se_e2_a
    near = min(settings.near_rcut_A, settings.rcut_A)
    all_far, all_near = room["total"]
    if settings.descriptor == "se_e2_a+se_e3":
        se_e3 = {
            "type": "se_e3",
            "sel": room["near"],
            "rcut": near,
            "rcut_smth": settings.rcut_smth_A,
            "neuron": list(settings.near_neuron),
            # Its tables reach far (see tables.py), and many triplets add up: in float32 that is some meV/Å of noise.
            **{**net, "precision": "float64"},
        }
        return {"type": "hybrid", "list": [se_e2_a, se_e3]}
    if settings.descriptor in ("se_atten", "se_atten_v2"):
        # Without it the attention of se_atten makes the energy jump at the cut-off; se_atten_v2 always has it.
        smooth = {"smooth_type_embedding": True} if settings.descriptor == "se_atten" else {}
        return {
            "type": settings.descriptor,
            "sel": all_far,
            "rcut": settings.rcut_A,
            "rcut_smth": settings.rcut_smth_A,
            "neuron": list(settings.neuron),
            "axis_neuron": settings.axis_neuron,
            "attn_layer": settings.attention_layers,
            **smooth,
            **net,
        }
    if settings.descriptor == "dpa2":
        return _dpa2(settings, all_far, near, all_near, net)
    return _dpa3(settings, all_far, near, all_near, net)


def _dpa2(settings: PotentialSettings, sel: int, near: float, near_sel: int, net: dict[str, Any]) -> dict[str, Any]:
    """Return a small DPA-2: two-body and three-body start, three layers of messages within `near`."""
    return {
        "type": "dpa2",
        "repinit": {
            "tebd_dim": 8,
            "rcut": settings.rcut_A,
            "rcut_smth": settings.rcut_smth_A,
            "nsel": max(sel, near_sel + 1),  # DeePMD-kit wants more room here than below
            "neuron": list(settings.neuron),
            "axis_neuron": settings.axis_neuron,
            "use_three_body": True,
            "three_body_rcut": near,
            "three_body_rcut_smth": near - 0.5,
            "three_body_sel": near_sel,
        },
        "repformer": {
            "rcut": near,
            "rcut_smth": near - 0.5,
            "nsel": near_sel,
            "nlayers": 3,
            "g1_dim": 64,
            "g2_dim": 16,
            "attn2_hidden": 16,
            "attn2_nhead": 2,
            "attn1_hidden": 32,
            "attn1_nhead": 2,
            "axis_neuron": 4,
            "update_style": "res_residual",
            "set_davg_zero": True,
        },
        "add_tebd_to_repinit_out": False,
        **net,
    }


def _dpa3(settings: PotentialSettings, sel: int, near: float, near_sel: int, net: dict[str, Any]) -> dict[str, Any]:
    """Return a small DPA-3 with the choices of its authors (doi 10.48550/arXiv.2506.01686).

    DeePMD-kit's own default for `smooth_edge_update` makes the energy jump where a neighbour crosses `near`.
    """
    # The PyTorch back end can leave out the places that no neighbour takes: the same numbers in two thirds of the time.
    packed = {"use_dynamic_sel": True, "sel_reduce_factor": 1.0} if settings.backend == "pytorch" else {}
    return {
        "type": "dpa3",
        "repflow": {
            "n_dim": 64,
            "e_dim": 32,
            "a_dim": 16,
            "nlayers": 2,
            "e_rcut": settings.rcut_A,
            "e_rcut_smth": settings.rcut_A - 1.0,
            "e_sel": sel,
            "a_rcut": near,
            "a_rcut_smth": near - 0.5,
            "a_sel": near_sel,
            "axis_neuron": 4,
            "smooth_edge_update": True,
            "edge_init_use_dist": True,
            "use_exp_switch": True,
            **packed,
        },
        "activation_function": "silut:10.0",
        "concat_output_tebd": False,
        "use_tebd_bias": False,
        **net,
    }


def _dpa4(settings: PotentialSettings, sel: int, net: dict[str, Any]) -> dict[str, Any]:
    """Return a small DPA-4: equivariant messages up to l = 2, two blocks of them."""
    return {
        "type": "dpa4",
        "sel": sel,
        "rcut": settings.rcut_A,
        "channels": 16,
        "lmax": 2,
        "n_blocks": 2,
        "n_radial": 8,
        "mixing_layers": 1,
        "edge_norm": False,
        **net,
    }


def segment_seed(seed: int, first: int) -> int:
    """Return the seed of the batches of a segment that begins at step `first`: the study's own for the first one."""
    return int(np.random.SeedSequence([seed, first]).generate_state(1)[0] >> 1) if first else seed


def segments_of(settings: PotentialSettings, steps: int) -> tuple[int, int]:
    """Return (steps, steps of a segment) of a training, as `whole_pieces`; the schedule ``wsd`` wants `SEGMENTS`."""
    limit = settings.checkpoint_steps
    return whole_pieces(steps, min(limit, -(-steps // SEGMENTS)) if settings.schedule == "wsd" else limit)


def whole_pieces(steps: int, checkpoint_steps: int) -> tuple[int, int]:
    """Return (steps, steps between checkpoints): as many whole pieces as need be, none longer than asked for."""
    exact = _divisor_at_most(steps, checkpoint_steps)
    if 2 * exact >= min(steps, checkpoint_steps):
        return steps, exact
    pieces = -(-steps // checkpoint_steps)
    save = -(-steps // pieces)
    if save > 100:
        save = 10 * -(-save // 10)  # so that the learning curve need not be written at every step
    return pieces * save, save


def _divisor_at_most(number: int, limit: int) -> int:
    return next(d for d in range(min(limit, number), 0, -1) if number % d == 0)
