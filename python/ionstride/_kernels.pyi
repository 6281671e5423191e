from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

def unwrap(
    positions_A: npt.NDArray[np.float64], cell_A: npt.NDArray[np.float64], threads: int = 0
) -> tuple[npt.NDArray[np.float64], float]: ...
def displacement_moments(
    r_A: npt.NDArray[np.float64], lags: npt.NDArray[np.int64], threads: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
def msd_covariance(
    g_A2: npt.NDArray[np.float64], lags: npt.NDArray[np.int64], frames: int
) -> npt.NDArray[np.float64]: ...
def multitau_lags(n_frames: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...

class MultiTau:
    def __init__(self, n_series: int, n_frames: int) -> None: ...
    def add(self, positions_A: npt.NDArray[np.float64], threads: int = 0) -> None: ...
    def results(self) -> dict[str, Any]: ...
    @property
    def seen(self) -> int: ...

def gather_windows(
    r_A: npt.NDArray[np.float64],
    ion: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    length: int,
    stride: int,
    threads: int = 0,
) -> npt.NDArray[np.float32]: ...
def scan_dump(path: str | PathLike[str]) -> dict[str, Any]: ...
def read_dump(
    path: str | PathLike[str],
    start: int = 0,
    stop: int | None = None,
    stride: int = 1,
    threads: int = 0,
    index: object | None = None,
) -> dict[str, Any]: ...
