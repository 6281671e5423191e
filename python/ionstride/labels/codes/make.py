"""ASE calculators of the codes, made from their settings; each works in the current folder."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import InputError

RY_EV = 13.605693122994

OUTPUTS = {
    "cp2k": ("cp2k.out", "cp2k.inp"),
    "vasp": ("OUTCAR", "vasprun.xml", "INCAR", "KPOINTS", "POSCAR", "vasp.out"),
    "siesta": ("siesta.out", "siesta.fdf"),
    "espresso": ("espresso.pwo", "espresso.pwi"),
}
"""What a code writes that is worth keeping, the output proper first."""


def make_code(code: str, settings: Mapping[str, Any]) -> Any:
    """Return the ASE calculator of a code.

    Parameters
    ----------
    code : 'cp2k', 'vasp', 'siesta' or 'espresso'.
    settings : as `read_code_settings` returns them.
    """
    makers = {"cp2k": _cp2k, "vasp": _vasp, "siesta": _siesta, "espresso": _espresso}
    return makers[code](settings)


def check_elements(code: str, settings: Mapping[str, Any], symbols: Iterable[str]) -> None:
    """Raise `InputError` if the settings name no potential for an element where they have to."""
    if code == "espresso":
        missing = sorted(set(symbols) - set(settings["pseudopotentials"]))
        if missing:
            raise InputError(
                f"espresso: [pseudopotentials] of --settings name no file for {', '.join(missing)}, wanted one for "
                f'each element, such as {missing[0]} = "{missing[0]}.upf"'
            )


def _cp2k(s: Mapping[str, Any]) -> Any:
    from ase.calculators.cp2k import CP2K

    return CP2K(command=s["command"], label="cp2k", **cp2k_arguments(s))  # type: ignore[no-untyped-call]


def cp2k_arguments(s: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ASE's CP2K takes, but for the command."""
    return {
        "xc": s["xc"],
        "basis_set": s["basis_set"],
        "basis_set_file": s["basis_set_file"],
        "pseudo_potential": s["pseudo_potential"],
        "potential_file": s["potential_file"],
        "cutoff": s["cutoff_Ry"] * RY_EV,
        "max_scf": s["max_scf"],
        "charge": s["charge"],
        "uks": s["uks"],
        "inp": s["input"],
        "stress_tensor": True,
        "print_level": "MEDIUM",
    }


def _vasp(s: Mapping[str, Any]) -> Any:
    from ase.calculators.vasp import Vasp

    incar = dict(s["incar"])
    if str(incar.get("lreal", "")).lower() == "false":
        incar["lreal"] = False
    return Vasp(
        command=s["command"],
        directory=".",
        xc=s["xc"],
        kpts=s["kpoints"],
        gamma=s["gamma"],
        setups=s["setups"],
        **incar,
    )


def _siesta(s: Mapping[str, Any]) -> Any:
    from ase.calculators.siesta import Siesta

    fdf = {
        key: tuple(value.split()) if isinstance(value, str) and " " in value else value
        for key, value in s["fdf"].items()
    }
    more = {"pseudo_path": s["pseudo_path"]} if s["pseudo_path"] else {}
    return Siesta(  # type: ignore[no-untyped-call]
        command=f"{s['command']} < PREFIX.fdf > PREFIX.out",
        label="siesta",
        xc=s["xc"],
        basis_set=s["basis_set"],
        mesh_cutoff=s["mesh_cutoff_Ry"] * RY_EV,
        energy_shift=s["energy_shift_meV"] / 1000.0,
        kpts=s["kpoints"],
        spin=s["spin"],
        fdf_arguments=fdf,
        **more,
    )


def _espresso(s: Mapping[str, Any]) -> Any:
    from ase.calculators.espresso import Espresso, EspressoProfile

    profile = EspressoProfile(s["command"], s["pseudo_dir"] or ".")  # type: ignore[no-untyped-call]
    return Espresso(  # type: ignore[no-untyped-call]
        profile=profile,
        directory=".",
        input_data={name: dict(table) for name, table in s["input"].items()},
        pseudopotentials=dict(s["pseudopotentials"]),
        kpts=tuple(s["kpoints"]) or None,
    )


def close_code(inner: Any) -> None:
    """End what a calculator keeps running, whatever state it is in."""
    shell = getattr(inner, "_shell", None)  # only CP2K has one
    if shell is None:
        return
    if getattr(shell, "isready", False):
        with contextlib.suppress(Exception):
            inner.close()
            return
    child = shell._child  # in the middle of something, or gone: it would not hear a polite word
    if child is not None:
        child.kill()
        child.communicate()
    shell._child, shell.isready, inner._shell = None, False, None
