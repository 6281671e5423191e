"""Settings of a training: defaults, what may be asked, and the sentence for what may not."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..checks import check_choice, nearest_name
from ..errors import InputError

LOSSES = ("swd", "swd+critic", "relativistic", "wgan-gp", "ar-mdn")

LONGEST_WINDOW = 2048
"""Records: half the points of the spectrum that generator and calibration are made with."""


STEPS = 2500
"""Of a training that is worth it."""


@dataclass(frozen=True)
class TrainSettings:
    """What a training is made from, apart from its data.

    Attributes
    ----------
    stride : frames between records.
    window : records in a window, L.
    loss : 'swd': sliced Wasserstein distance on box projections of a window, no adversary; 'swd+critic': with learned
        projections and a relativistic critic on top; 'relativistic': a GAN with R1 and R2; 'wgan-gp': a GAN of the
        published family; 'ar-mdn': maximum likelihood of the next record, the control without an adversary.
    steps : steps of the generator; 0 leaves it at its start.  None: `STEPS`, or 0 where with 'swd' the start is as near
        to held-out windows as windows trained on are, for then there is nothing left to learn.
    batch : generated windows a step.
    seed : of everything random in the training.
    ions_together : ions generated as one, P; their correlations are then learned.
    validation, part : what is held out to choose the checkpoint: the last 'time' of each run or whole 'run's; how much.
    rate : learning rate at the start; it falls to a tenth.
    width : channels of the hidden layers.
    reverse : use every window run backwards too.
    calibrate : at the end, filter the series so that their spectrum is that of the data.
    ema : memory of the running mean of the weights, in steps.
    device : 'auto', 'cpu' or 'cuda'.
    threads : of the CPU; 0 for all cores.
    report_every : steps between looks at the held-out data.
    """

    stride: int = 1
    window: int = 128
    loss: str = "swd"
    steps: int | None = None
    batch: int = 256
    seed: int = 0
    ions_together: int = 1
    validation: str = "time"
    part: float = 0.15
    rate: float = 2e-3
    width: int = 48
    reverse: bool = True
    calibrate: bool = True
    ema: int = 200
    device: str = "auto"
    threads: int = 0
    report_every: int = 100

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        check_choice("validation", self.validation, ("time", "run"))
        check_choice("device", self.device, ("auto", "cpu", "cuda"))
        for name, least in {
            "stride": 1, "window": 16, "steps": 0, "batch": 16, "ions_together": 1, "width": 4, "ema": 1,
            "report_every": 1, "seed": 0, "threads": 0,
        }.items():  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} = {value}, wanted {least} or more")
        if self.window > LONGEST_WINDOW:
            raise InputError(
                f"window = {self.window}, wanted {LONGEST_WINDOW} records or fewer; take a larger stride instead"
            )
        if self.batch % 2:
            raise InputError(f"batch = {self.batch}, wanted an even number: moments are compared between its halves")
        if not 0.0 < self.rate < 1.0:
            raise InputError(f"rate = {self.rate:g}, wanted between 0 and 1, such as 0.002")

    @property
    def model_name(self) -> str:
        """What a model trained so is: a GAN only where an adversary trains it."""
        if self.loss == "ar-mdn":
            return "autoregressive density"
        if not self.steps:
            return "hop process"
        return "noise network (swd)" if self.loss == "swd" else f"MD-GAN ({self.loss})"


def train_settings(given: dict[str, Any]) -> TrainSettings:
    """Return settings from names and values.

    Raises
    ------
    InputError
        If a name is unknown or a value not allowed.
    """
    known = [field.name for field in dataclasses.fields(TrainSettings)]
    for name in given:
        if name not in known:
            raise InputError(f"the setting '{name}' is not known{nearest_name(name, known)}")
    return TrainSettings(**given)
