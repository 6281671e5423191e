"""A trained model: a source of endless series, saved in a folder and read back."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..errors import FormatError, InputError
from ..records import Displacements
from ..runrecord import atomic_path, read_json, write_json, write_record
from .data import fingerprints
from .hops import Law
from .losses import covariance_by_lag
from .networks import Generator, NextRecord, filter_valid
from .settings import LONGEST_WINDOW, TrainSettings, train_settings
from .start import Start, spectrum_of
from .state import FORMAT, State, read
from .windows import increment_covariance, msd_of_windows, windows

_IONS_AT_ONCE = {"Generator": 64, "NextRecord": 2048}
DRIFT_RECORDS = 10_000_000
"""Generated records over which the drift is measured."""

_PIECE = 2048  # records of a series at a time


@dataclass(frozen=True)
class Drift:
    """The mean per record of a step before and after it was subtracted (block, C), and C(k) (lags, C), scaled."""

    before: Any
    after: Any
    records: int
    covariance: Any


@dataclass
class Model:
    """A generator of displacements; what `evaluate` and `generate` draw from.

    Attributes
    ----------
    net : the network, scaled increments.
    scale_A : (3) unit of an increment.
    correction : (3, 2K + 1) calibrating filter, or None.
    dt_ps : time of a record.
    ions_together : ions made as one.
    name : what it is called in tables.
    about : settings, statistics, provenance: the content of model.json.
    """

    net: nn.Module
    scale_A: npt.NDArray[np.float64]
    correction: Tensor | None
    dt_ps: float
    ions_together: int
    name: str
    about: dict[str, Any] = field(default_factory=dict)

    def stream(self, ions: int, records: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.float32]]:
        """Give the series of some ions piece by piece, (ions, t, 3) increments in Å, `records` in all.

        Raises
        ------
        InputError
            If the ions are no multiple of those made together.
        """
        if ions % self.ions_together or ions < 1 or records < 1:
            raise InputError(
                f"{ions} ions of {records} records were asked for, wanted at least one record and a multiple of "
                f"{self.ions_together} ion(s), which this model makes together"
            )
        device = next(self.net.parameters()).device
        source = torch.Generator(device=device).manual_seed(int(rng.integers(2**62)))
        sets = ions // self.ions_together
        unit = torch.tensor(np.tile(self.scale_A, self.ions_together), dtype=torch.float32, device=device)
        with torch.inference_mode():
            reach = 0 if self.correction is None else self.correction.shape[1] - 1
            before: Tensor | None = None
            for piece in self.net.stream(sets, records + reach, source):  # type: ignore[operator]
                made = piece * unit
                if self.correction is not None:
                    whole = made if before is None else torch.cat([before, made], dim=1)
                    before = whole[:, -reach:]
                    if whole.shape[1] <= reach:
                        before = whole
                        continue
                    taps = self.correction.repeat(self.ions_together, 1)
                    made = filter_valid(whole.transpose(1, 2), taps).transpose(1, 2)
                t = made.shape[1]
                yield made.reshape(sets, t, -1, 3).transpose(1, 2).reshape(ions, t, 3).cpu().numpy()

    def draw(self, ions: int, records: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return increments in Å, (ions, records, 3) float32: no drift, stationary from the first record on."""
        out = np.empty((ions, records, 3), dtype=np.float32)
        group = max(_IONS_AT_ONCE[type(self.net).__name__] // self.ions_together, 1) * self.ions_together
        for first in range(0, ions, group):
            count, place = min(group, ions - first), 0
            for piece in self.stream(count, records, rng):
                out[first : first + count, place : place + piece.shape[1]] = piece
                place += piece.shape[1]
        return out


def finish(
    state: State,
    *,
    settings: TrainSettings, start: Start, data: Displacements, truth: dict[str, float], out: Path,
    key: str, rank: int = 0,
) -> Model:  # fmt: skip
    """Return the model of the chosen weights, its drift subtracted and its spectrum calibrated, and save it."""
    begun = time.monotonic()
    every = windows(data, settings.window, settings.stride)
    net = state.net.eval().requires_grad_(False)
    source = torch.Generator(device=next(net.parameters()).device).manual_seed(settings.seed + 77)
    lags = _lags_known(data, settings)
    with torch.inference_mode():
        found = remove_drift(net, source, lags=lags)
    correction = None
    if settings.calibrate:
        wanted = increment_covariance(msd_of_windows(windows(data, lags, settings.stride)) / start.scale_A**2)
        taps = calibration(found.covariance.reshape(lags, -1, 3).mean(axis=1), wanted)
        correction = torch.tensor(taps, dtype=torch.float32, device=source.device)
    unit = start.scale_A
    drift = {
        "records": found.records,
        "before_A": [float(v) for v in (found.before.reshape(-1, 3).mean(axis=0) * unit)],
        "after_A": [float(v) for v in (found.after.reshape(-1, 3).mean(axis=0) * unit)],
    }
    about = {
        "format": FORMAT,
        "name": settings.model_name,
        "settings": asdict(settings),
        "dt_ps": every.dt_ps,
        "scale_A": unit.tolist(),
        "start": {
            "hop_records": len(start.hop_shape),
            "bursts": list(start.law.offset.shape),
            "burst_followers": start.law.follow.shape[1],
            "records_between_bursts_at_least": int(start.law.limit),
            "burst_chance": float(start.law.chance),
            "first_hop_rms_A": float(
                np.sqrt(((start.law.moves[:, 0].numpy() * start.scale_A) ** 2).sum(axis=1).mean())
            ),
            "back_chance": float(start.law.back),
            "back_delay_records": float(start.law.delay),
            "mobile_part": float(start.law.mobile),
            "mobile_memory_records": float(start.law.turn),
        },
        "n_taps": start.taps.shape[1],
        "calibrated": correction is not None,
        "drift": drift,
        "temperature_K": data.temperature_K,
        "species": data.species[0],
        "charge_e": float(data.charge_e[0]),
        "cell_A": data.cell_A.tolist(),
        "volume_A3": data.volume_A3,
        "ions_per_run": data.n_ions_per_run,
        "n_runs": data.n_runs,
        "windows_overlapping": every.n_overlapping,
        "windows_independent": every.n_independent,
        "ion_ps": every.ion_ps,
        "ions_seen": fingerprints(data),
        "training_ps": float(data.time_ps[-1] - data.time_ps[0]),
        "chosen_step": state.best["step"],
        "held_out_distance": state.best["distance"],
        "training_windows": truth,
        "seconds": round(state.seconds, 2),
    }
    model = Model(net, unit, correction, every.dt_ps, settings.ions_together, settings.model_name, about)
    if rank == 0:
        save_model(model, out)
        write_record(
            out, key, ["model.pt", "model.json", "train.csv"], wall_s=state.seconds + time.monotonic() - begun,
            inputs={str(k): str(v) for k, v in data.source.items()}, seed=settings.seed,
        )  # fmt: skip
    return model


def _lags_known(data: Displacements, settings: TrainSettings) -> int:
    """Return the lags up to which the spectrum is brought to that of the data: four windows, or a quarter of a run."""
    records = (data.r_A.shape[1] - 1) // settings.stride
    return max(settings.window, min(4 * settings.window, records // 4, LONGEST_WINDOW))


def remove_drift(net: nn.Module, source: torch.Generator, records: int | None = None, lags: int = 1) -> Drift:
    """Subtract the mean increment per record of a step, and return what was measured.

    A mean b adds (n b)² to the MSD at n records, so it is measured over ten million records; the mean afterwards is
    that of as many other records.

    Parameters
    ----------
    net : the network; its mean per record of a step is changed.
    source : source of randomness.
    records : ion-records looked at, twice.
    lags : of C(k), which is measured on the way.
    """
    assert isinstance(net, (Generator, NextRecord))
    records = DRIFT_RECORDS if records is None else records
    before, covariance, seen = _moments(net, source, records, lags)
    net.phase_mean += before
    after, again, _ = _moments(net, source, records, lags)
    mean = before.mean(dim=0).double()
    return Drift(
        before.cpu().numpy(), after.cpu().numpy(), seen,
        (0.5 * (covariance - mean * mean + again)).cpu().numpy(),
    )  # fmt: skip


def _moments(
    net: Generator | NextRecord, source: torch.Generator, wanted: int, lags: int
) -> tuple[Tensor, Tensor, int]:
    """Return the mean per record of a step (block, C), C(k) (lags, C) and the ion-records they are from."""
    block, channels = net.phase_mean.shape
    ions = channels // 3
    wanted_length = max(lags, min(_PIECE, wanted // 16)) if isinstance(net, Generator) else max(lags, 512)
    length = -(-wanted_length // block) * block
    sets = 16 if isinstance(net, Generator) else min(2048, -(-wanted // length))
    mean: Any = 0.0
    covariance: Any = 0.0
    rounds = -(-wanted // (sets * length * ions))
    for _ in range(rounds):
        if isinstance(net, Generator):
            made = net(net.noise(sets, length + net.margin, source)[0])
        else:
            made = net.sample(sets, length, source)
        mean = mean + made.reshape(-1, block, channels).double().mean(dim=0)
        covariance = covariance + covariance_by_lag(made)[:lags].double()
    return (mean / rounds).float(), covariance / rounds, rounds * sets * length * ions  # type: ignore[union-attr, return-value]


def calibration(made: Any, wanted: Any) -> Any:
    """Return the filter per axis with |H|² = S_data / S_generated, (3, 2L − 1).

    The spectrum, so C(k) and the MSD, are then those of the data; the rest hardly changes where H is near 1.

    Parameters
    ----------
    made, wanted : (L, 3) C(k) of generated series and of the data.
    """
    length = len(wanted)
    # Weighted by 1 − k/L S(0) is the MSD of a window over its length: smooth, and never negative.
    taper = (1.0 - np.arange(length) / length)[:, None]
    ratio = np.sqrt(spectrum_of(wanted * taper) / spectrum_of(made * taper))
    taps = np.fft.fftshift(np.fft.irfft(ratio, axis=0), axes=0)
    middle = len(taps) // 2
    taps = taps[middle - length + 1 : middle + length]
    # What cutting the filter changes at zero frequency would be lost of D: it is spread over all taps, evenly.
    taps = taps + (ratio[0] - taps.sum(axis=0)) / len(taps)
    return np.ascontiguousarray(taps.T)


def save_model(model: Model, folder: Path) -> None:
    """Write model.pt and model.json."""
    whole = {"format": FORMAT, "weights": model.net.state_dict(), "correction": model.correction}
    with atomic_path(folder / "model.pt") as temporary:
        torch.save(whole, temporary)
    write_json(folder / "model.json", model.about)


def load_model(folder: Path, device: str = "cpu") -> Model:
    """Return the model of a folder.

    Raises
    ------
    InputError
        If there is no finished training.
    FormatError
        If a file is damaged, or another version wrote it.
    """
    about = read_json(folder / "model.json")
    if about is None or not (folder / "model.pt").exists():
        raise InputError(f"'{folder}' holds no trained model; 'ionstride mdgan train … --out {folder}' makes one")
    if about.get("format") != FORMAT:
        raise FormatError(
            folder / "model.json",
            f"its format is {about.get('format')}, this version of IonStride reads {FORMAT}; train again, or use the "
            "version that wrote it",
        )
    whole = read(folder / "model.pt")
    try:
        net = _empty_net(about)
        scale_A, dt_ps, name = np.array(about["scale_A"]), about["dt_ps"], about["name"]
    except (KeyError, TypeError) as error:
        raise FormatError(
            folder / "model.json", f"lacks what a model of this version has ({error}); train again"
        ) from error
    try:
        net.load_state_dict(whole["weights"])
    except (RuntimeError, KeyError) as error:
        raise FormatError(
            folder / "model.pt", "its weights do not fit model.json beside it; the two belong to different trainings"
        ) from error
    correction = whole["correction"]
    return Model(
        net.to(device).eval().requires_grad_(False), scale_A,
        None if correction is None else correction.to(device), dt_ps, about["settings"]["ions_together"],
        name, about,
    )  # fmt: skip


def _empty_net(about: dict[str, Any]) -> nn.Module:
    """Return the network that model.json describes, before its weights."""
    settings = train_settings(about["settings"])
    if settings.loss == "ar-mdn":
        return NextRecord(3 * settings.ions_together, settings.window, np.ones(settings.window + 1))
    known = about["start"]
    offset = torch.zeros(*known["bursts"], dtype=torch.int64)
    follow = torch.zeros(len(offset), known["burst_followers"], dtype=torch.int64)
    law = Law(
        torch.tensor(0.0), torch.zeros(*offset.shape, 3), offset, torch.tensor(0), follow, *[torch.tensor(1.0)] * 4
    )
    empty = Start(np.ones(3), np.zeros((3, about["n_taps"])), law, np.ones(known["hop_records"]))
    return Generator(empty, ions=settings.ions_together, width=settings.width)
