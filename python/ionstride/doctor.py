"""``ionstride doctor``: what is installed, what runs, and what brings what is missing."""

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import IonstrideError
from .process import find_program
from .runrecord import machine, versions
from .ui import Screen

EXTRAS = {
    "md": ("deepmd", "dpdata"),
    "mdgan": ("torch",),
    "reference": ("chgnet",),
    "report": ("matplotlib",),
}


def doctor() -> int:
    """Print the state of the installation; return 0 if the chain up to MD can run, else 2."""
    screen = Screen()
    screen.say(machine())
    for name, version in versions().items():
        screen.say(f"  {name:<16} {version}")
    whole = _kernels(screen)
    whole = _lammps(screen) and whole
    whole = _deepmd(screen) and whole
    _codes(screen)
    _gpus(screen)
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        if missing:
            screen.say(f'missing: {", ".join(missing)}; bring with: pip install "ionstride[{extra}]"')
    screen.say("all that a study needs is here" if whole else "a study cannot run yet; see above")
    return 0 if whole else 2


def _kernels(screen: Screen) -> bool:
    try:
        from . import _kernels
    except ImportError as error:
        screen.say(f"kernels  missing ({error}); install ionstride again with a C++17 compiler")
        return False
    names = [n for n in dir(_kernels) if not n.startswith("_")]
    screen.say(f"kernels  {', '.join(names)}")
    return True


def _lammps(screen: Screen) -> bool:
    from .campaign import check_lammps, ranks_work

    try:
        with tempfile.TemporaryDirectory() as folder:
            program = check_lammps("lmp", Path(folder), 1)
    except IonstrideError as error:
        screen.say(f"lmp      {error}")
        return False
    screen.say(f"lmp      {program}, knows pair_style deepmd")
    try:
        mpirun = find_program("mpirun")
    except IonstrideError as error:
        screen.say(f"mpirun   {error}; runs on one rank still work")
        return True
    said = subprocess.run([mpirun, "--version"], capture_output=True, text=True, check=False).stdout
    kind = "MPICH" if "HYDRA" in said else "Open MPI" if "Open MPI" in said or "OpenRTE" in said else "unknown MPI"
    screen.say(f"mpirun   {mpirun}, {kind}")
    if kind != "MPICH":
        screen.say("         the lmp of the lammps package wants the MPICH that comes with it")
    with tempfile.TemporaryDirectory() as folder:
        works = ranks_work(program, Path(folder))
    screen.say(f"         two ranks {'work together' if works else 'do NOT work together'}")
    return True


def _deepmd(screen: Screen) -> bool:
    try:
        program = find_program("dp")
    except IonstrideError as error:
        screen.say(f"dp       {error}")
        return False
    from .potential import check_backend
    from .potential.train import BACKENDS

    words = []
    for backend in BACKENDS:
        try:
            check_backend(backend)
            words.append(f"{backend}: ready")
        except IonstrideError as error:
            words.append(f"{backend}: {error}")
    screen.say(f"dp       {program}; back ends:")
    for word in words:
        screen.say(f"         {word}")
    return "tensorflow: ready" in words


def _codes(screen: Screen) -> None:
    """Name the codes of first principles that 'ionstride label' finds; a study needs none."""
    from .labels.codes import CODES, code_version, find_code, read_code_settings

    found = []
    for code in CODES:
        settings = read_code_settings(code)
        program = find_code(code, settings)
        if program:
            found.append(" ".join(word for word in (code, code_version(code, settings), f"({program})") if word))
    screen.say(f"codes    {', '.join(found) if found else 'none of ' + ', '.join(CODES)}, for 'ionstride label'")


def _gpus(screen: Screen) -> None:
    if shutil.which("nvidia-smi") is None:
        screen.say("GPUs     none seen")
        return
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    screen.say(f"GPUs     {found.replace(chr(10), '; ') or 'none seen'}")
