"""What labels of a code depend on, in words and for the cache; and whether the code is there."""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError, MissingToolError
from ...runrecord import file_hash

NAMES = {"cp2k": "CP2K", "vasp": "VASP", "siesta": "SIESTA", "espresso": "Quantum ESPRESSO"}
PROGRAM = {"cp2k": "cp2k", "vasp": "vasp", "siesta": "siesta", "espresso": "pw"}
PACKAGES = {
    "cp2k": "apt-get install cp2k cp2k-data (Debian, Ubuntu), or https://www.cp2k.org",
    "vasp": "VASP comes with a licence of its own, https://www.vasp.at",
    "siesta": "apt-get install siesta (Debian, Ubuntu), or https://siesta-project.org",
    "espresso": "apt-get install quantum-espresso (Debian, Ubuntu), or https://www.quantum-espresso.org",
}

_SURFACE = re.compile(
    r"(ispin|nspin|nelect|ldau|lda_plus_u|hubbard|ivdw|vdw|luse_vdw|metagga|gga|lhfcalc|aexx|hfscreen|exx|input_dft|tot_"
    r"|netcharge|dftu|mm\.|lsorbit|noncolin|lspinorb)",
    re.IGNORECASE,
)
"""Keys of INCAR, fdf and &SYSTEM that change the energy surface."""


def check_code(code: str, settings: Mapping[str, Any]) -> None:
    """Raise before any work if a code, or its potentials, cannot be had.

    Raises
    ------
    MissingToolError
        If its program is not on the PATH; the message says what brings it.
    InputError
        If the command is empty, or the potentials' folder is not said or not there.
    """
    words = shlex.split(str(settings["command"]))
    if not words:
        raise InputError(f"{code}: command is empty, wanted the program, such as '{PROGRAM[code]}'")
    for word in dict.fromkeys((words[0], _program(code, words))):
        if shutil.which(word) is None:
            raise MissingToolError(
                f"{NAMES[code]}: the program '{word}' is not on the PATH; {PACKAGES[code]}; or give its command in "
                "--settings"
            )
    if code == "vasp" and not os.environ.get("VASP_PP_PATH"):
        raise InputError("vasp: VASP_PP_PATH is not set, wanted the folder that holds potpaw_PBE")
    if code == "siesta" and not (settings["pseudo_path"] or os.environ.get("SIESTA_PP_PATH")):
        raise InputError("siesta: pseudo_path is empty and SIESTA_PP_PATH not set, wanted the folder of the potentials")
    if code == "espresso" and not settings["pseudo_dir"]:
        raise InputError("espresso: pseudo_dir is empty, wanted the folder of the potentials")


def find_code(code: str, settings: Mapping[str, Any]) -> str:
    """Return the path of a code's program, empty if it is not on the PATH."""
    return shutil.which(_program(code, shlex.split(str(settings["command"])))) or ""


def _program(code: str, words: list[str]) -> str:
    """Return the code's own program in a command that may begin with mpiexec."""
    own = [word for word in words if PROGRAM[code] in word.rpartition("/")[2].lower()]
    return own[0] if own else words[0]


@functools.cache
def _cp2k_version(program: str) -> str:
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"CP2K version\s+(\S+)", said)
    return found[1] if found else ""


def code_version(code: str, settings: Mapping[str, Any]) -> str:
    """Return the version of a code: CP2K says it, for the others it stands in the settings."""
    if code == "cp2k":
        return _cp2k_version(_program(code, shlex.split(str(settings["command"]))))
    return str(settings.get("version", ""))


def code_identity(code: str, settings: Mapping[str, Any]) -> str:
    """Return what the labels of a code depend on besides the atoms: version, settings and potentials, not the command.

    Of pw.x the potentials count by content; of VASP and SIESTA the folder that the environment names counts.
    """
    used = {key: value for key, value in settings.items() if key != "command"}
    if code == "espresso":
        folder = Path(used.pop("pseudo_dir"))
        files = {element: folder / name for element, name in used["pseudopotentials"].items()}
        used["contents"] = {element: file_hash(file) for element, file in files.items() if file.is_file()}
    elif code == "vasp":
        used["folder"] = os.environ.get("VASP_PP_PATH", "")
    elif code == "siesta" and not used["pseudo_path"]:
        used["folder"] = os.environ.get("SIESTA_PP_PATH", "")
    return f"{code} {code_version(code, settings)} {json.dumps(used, sort_keys=True)}"


def code_note(code: str, settings: Mapping[str, Any]) -> str:
    """Return code, version, functional, basis, cutoff and k-points in words: the method of the labels."""
    head = " ".join(word for word in (NAMES[code], code_version(code, settings), str(settings["xc"])) if word)
    changed = _changed(code, settings)
    if code == "cp2k":
        potential = settings["pseudo_potential"]
        if potential == "auto":
            potential = f"GTH-{settings['xc']}" if settings["xc"] in ("PBE", "BLYP", "BP") else "GTH"
        found = re.search(r"MONKHORST-PACK\s+(\d+)\s+(\d+)\s+(\d+)", settings["input"], re.IGNORECASE)
        grid = "k-points " + "x".join(found.groups()) if found else "Γ"
        return f"{head}, {settings['basis_set']}, {potential}, {settings['cutoff_Ry']:g} Ry, {grid}{changed}"
    kpoints = settings["kpoints"]
    grid = "k-points " + "x".join(map(str, kpoints)) if kpoints else "Γ"
    if code == "vasp":
        return f"{head}, PAW ({settings['setups']}), {settings['incar']['encut']:g} eV, {grid}{changed}"
    if code == "siesta":
        return f"{head}, {settings['basis_set']}, {settings['mesh_cutoff_Ry']:g} Ry, {grid}{changed}"
    system = settings["input"]["system"]
    return f"{head}, {system['ecutwfc']:g} and {system['ecutrho']:g} Ry, {grid}{changed}"


def _changed(code: str, settings: Mapping[str, Any]) -> str:
    """Return what else makes another energy surface: charge, spin, +U, dispersion, hybrids; nothing by default."""
    if code == "cp2k":
        found = [f"{key} = {settings[key]}" for key in ("charge", "uks") if settings[key]]
        found += [word for word in ("VDW_POTENTIAL", "DFT_PLUS_U", "HF") if f"&{word}\n" in settings["input"].upper()]
    else:
        where = {"vasp": settings.get("incar"), "siesta": settings.get("fdf")}.get(code)
        table = settings["input"]["system"] if where is None else where
        found = [f"{key} = {table[key]}" for key in table if _SURFACE.match(key)]
        if settings.get("spin", "non-polarized") != "non-polarized":
            found.append(f"spin = {settings['spin']}")
    return "".join(f", {word}" for word in found)
