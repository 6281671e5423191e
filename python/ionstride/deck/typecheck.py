"""Whether a deck means the same elements everywhere: data file, ``pair_coeff``, dump, restart file and potential.

LAMMPS knows types by number alone.  A name that stands at another place in one of them is another chemistry, without a
word from anyone; so the text of a deck is read back before it is run.
"""

import struct
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from ..errors import InputError

MASS_TOLERANCE = 0.02
_HEADER_BYTES = 65536
_NTYPES, _MASS = 17, 38  # flags of LAMMPS's restart format
_MOST_TYPES = 118


def check_deck_types(files: Mapping[str, str], type_map: Sequence[str] | None = None, model: str = "") -> None:
    """Read ``in.lammps`` and ``data.lmp`` of a deck back and compare what they say of the elements.

    Parameters
    ----------
    files : name → text.
    type_map : elements the potential itself says it knows; None where that is not asked.
    model : its path, for the message.

    Raises
    ------
    InputError
        If two of them disagree, or the potential lacks an element.
    """
    data, said = files["data.lmp"], input_elements(files["in.lammps"])
    elements = data_elements(data)
    for where, names in said.items():
        if names != elements:
            raise InputError(
                f"the deck means different elements: the types of data.lmp are {' '.join(elements)}, "
                f"{where} of in.lammps says {' '.join(names) or 'none'}; write the deck anew"
            )
    if type_map is not None:
        missing = [name for name in elements if name not in type_map]
        if missing:
            raise InputError(
                f"the potential '{model}' knows {', '.join(type_map)}, but the deck also has {', '.join(missing)}"
            )


def data_elements(text: str) -> tuple[str, ...]:
    """Return the element of each type of a LAMMPS data file, by its comments, checked against masses and title.

    Raises
    ------
    InputError
        If they disagree or an atom has a type that is none.
    """
    from ase.data import atomic_masses, atomic_numbers

    lines = text.splitlines()
    count = next((int(line.split()[0]) for line in lines if line.endswith(" atom types")), 0)
    names: list[str] = []
    for line in _section(lines, "Masses"):
        number, mass, *_ = line.split()
        name = line.partition("#")[2].strip()
        if int(number) != len(names) + 1 or name not in atomic_numbers:
            raise InputError(f"data.lmp: the line '{line}' of Masses does not name an element after '#'")
        names.append(name)
        if abs(float(mass) / atomic_masses[atomic_numbers[name]] - 1.0) > MASS_TOLERANCE:
            raise InputError(
                f"data.lmp: type {number} is called {name} but has a mass of {mass}, which is not {name}'s"
            )
    if len(names) != count:
        raise InputError(f"data.lmp: {count} atom types, but masses of {len(names)}")
    title = lines[0].partition("(elements: ")[2].rstrip(")").split() if lines else []
    if title and title != names:
        raise InputError(f"data.lmp: the title says {' '.join(title)}, the masses say {' '.join(names)}")
    largest = max((int(line.split(maxsplit=2)[1]) for line in _section(lines, "Atoms")), default=0)
    if largest > count:
        raise InputError(f"data.lmp: an atom has type {largest}, but there are {count} types")
    return tuple(names)


def _section(lines: Sequence[str], name: str) -> list[str]:
    """Return the lines of a section: after its heading and a blank line, to the next blank line."""
    start = next((k for k, line in enumerate(lines) if line.split("#")[0].strip() == name), None)
    return [] if start is None else list(takewhile(str.strip, lines[start + 2 :]))


def input_elements(text: str) -> dict[str, tuple[str, ...]]:
    """Return where → elements in the order of types, as the commands of an input file say them.

    Raises
    ------
    InputError
        If ``pair_coeff`` gives the potential no names, or a comment on a pair of types names others.
    """
    from ase.data import atomic_numbers

    joined = text.replace("&\n", " ")
    deepmd, hybrid = False, False
    found: dict[str, tuple[str, ...]] = {}
    pairs: list[tuple[int, int, str]] = []
    for line in joined.splitlines():
        words, comment = line.partition("#")[0].split(), line.partition("#")[2].strip()
        if words[:1] == ["pair_style"]:
            deepmd, hybrid = "deepmd" in words[1:], words[1].startswith("hybrid")
        elif words[:3] == ["pair_coeff", "*", "*"] and deepmd and (not hybrid or words[3:4] == ["deepmd"]):
            found["pair_coeff"] = tuple(words[4:] if hybrid else words[3:])
        elif words[:1] == ["pair_coeff"] and comment.count("-") == 1 and words[1].isdigit() and words[2].isdigit():
            pairs.append((int(words[1]), int(words[2]), comment))
        elif words[:1] == ["dump_modify"] and "element" in words:
            names = words[words.index("element") + 1 :]
            found[f"dump_modify {words[1]}"] = tuple(takewhile(lambda word: word in atomic_numbers, names))
    if deepmd and not found.get("pair_coeff"):
        raise InputError(
            "in.lammps gives the potential no element names: a bare 'pair_coeff * *' takes the potential's own order "
            "of types; name the elements after it"
        )
    _check_pairs(pairs, next(iter(found.values()), ()))
    return found


def _check_pairs(pairs: Sequence[tuple[int, int, str]], elements: Sequence[str]) -> None:
    for i, j, comment in pairs:
        named = sorted(comment.split("-"))
        meant = sorted(elements[k - 1] for k in (i, j) if k <= len(elements))
        if elements and named != meant:
            told = "-".join(meant) or "none"
            raise InputError(f"in.lammps: 'pair_coeff {i} {j}' is for {comment}, but types {i} and {j} are {told}")


def restart_masses(path: Path) -> tuple[float, ...]:
    """Return the mass of each type in a LAMMPS restart file; empty where it cannot be told."""
    with path.open("rb") as stream:
        head = stream.read(_HEADER_BYTES)
    for count in range(1, _MOST_TYPES + 1):
        if struct.pack("<ii", _NTYPES, count) not in head:
            continue
        place = head.find(struct.pack("<ii", _MASS, count))
        if place >= 0 and len(head) >= place + 8 + 8 * count:
            masses: tuple[float, ...] = struct.unpack_from(f"<{count}d", head, place + 8)
            if all(0.5 < mass < 400.0 for mass in masses):
                return masses
    return ()


def check_restart_types(path: Path, data: str) -> None:
    """Raise `InputError` if a restart file's types are not those of a data file, by number or mass.

    Parameters
    ----------
    path : restart file.
    data : text of the data file of the deck that goes on from it.
    """
    elements = data_elements(data)
    wanted = [float(line.split()[1]) for line in _section(data.splitlines(), "Masses")]
    masses = restart_masses(path)
    if not masses:
        return
    if len(masses) != len(wanted):
        raise InputError(
            f"the restart file {path} holds {len(masses)} types of atoms, the deck has {len(wanted)} "
            f"({' '.join(elements)}); delete the run's folder to begin anew"
        )
    wrong = [k for k, (a, b) in enumerate(zip(masses, wanted, strict=True)) if abs(a / b - 1.0) > MASS_TOLERANCE]
    if wrong:
        k = wrong[0]
        raise InputError(
            f"the restart file {path} has a mass of {masses[k]:.4g} for type {k + 1}, which is {elements[k]} in the "
            "deck: another order of elements; delete the run's folder to begin anew"
        )
