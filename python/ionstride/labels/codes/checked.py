"""A code's ASE calculator that refuses an SCF that did not converge, and says why a code failed."""

import contextlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ase.calculators.calculator import CalculationFailed, Calculator, PropertyNotImplementedError, all_changes

from .identity import NAMES
from .make import OUTPUTS, check_elements, close_code, make_code

NOT_CONVERGED = {
    "cp2k": "SCF run NOT converged",
    "siesta": "SCF_NOT_CONV",
    "espresso": "convergence NOT achieved",
}
CONVERGED = {"cp2k": "SCF run converged", "espresso": "convergence has been achieved"}
_CP2K_ABORT = re.compile(r"\[ABORT\][ *]*\n((?: \*.*[^*]\*\n)+) \*{70,}")
_ERROR = re.compile(r"error|not found|cannot|could not|fatal", re.IGNORECASE)


class CheckedCalculator(Calculator):
    """One of the codes, working in the current folder.

    Parameters
    ----------
    code : 'cp2k', 'vasp', 'siesta' or 'espresso'.
    settings : as `read_code_settings` returns them.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (ASE wants it so)

    def __init__(self, code: str, settings: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.code = code
        self._settings = settings
        self._inner: Any = None

    def fresh(self) -> None:
        """Forget all earlier cells: the next result does not depend on them, nor on their plane waves."""
        if self._inner is not None:
            close_code(self._inner)
        self._inner = None
        self.reset()  # type: ignore[no-untyped-call]
        for name in OUTPUTS[self.code]:
            Path(name).unlink(missing_ok=True)

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = tuple(all_changes)
    ) -> None:
        """Run the code on a cell; energy, forces and stress, or the reason why not."""
        super().calculate(atoms, list(properties), list(system_changes))  # type: ignore[no-untyped-call]
        cell: Any = self.atoms.copy()  # type: ignore[union-attr]
        cell.set_constraint()  # of an MD run: a label is the force of the code, not what a constraint leaves of it
        check_elements(self.code, self._settings, cell.symbols)
        if "cell" in system_changes or "numbers" in system_changes:
            self.fresh_cell()
        if self._inner is None:
            self._inner = make_code(self.code, self._settings)
        output = Path(OUTPUTS[self.code][0])
        read = output.stat().st_size if self.code == "cp2k" and output.is_file() else 0
        cell.calc = self._inner
        try:
            found = {"energy": cell.get_potential_energy(), "forces": cell.get_forces()}
            with contextlib.suppress(PropertyNotImplementedError):
                found["stress"] = cell.get_stress()
        except Exception as error:
            close_code(self._inner)
            self._inner = None
            said = self._text(output, read)
            unconverged = NOT_CONVERGED.get(self.code, "SCF not") in said
            reason = self._unconverged(said) if unconverged else _last_error(said) or f"{type(error).__name__} {error}"
            raise CalculationFailed(f"{NAMES[self.code]}: {reason}") from error
        reason = self._unconverged(self._text(output, read))
        if reason:
            raise CalculationFailed(f"{NAMES[self.code]}: {reason}")
        self.results = found

    def fresh_cell(self) -> None:
        """Start the code anew for another cell, whose grid must not be that of the last one."""
        if self._inner is not None and self.code == "cp2k":
            close_code(self._inner)
            self._inner = None

    def keep(self, folder: Path) -> None:
        """End the code, which then writes what it still holds back, and copy its files into a folder."""
        if self._inner is not None:
            close_code(self._inner)
            self._inner = None
        folder.mkdir(parents=True, exist_ok=True)
        for name in OUTPUTS[self.code]:
            if Path(name).is_file():
                shutil.copyfile(name, folder / name)

    def _text(self, output: Path, start: int) -> str:
        if not output.is_file():
            return ""
        with output.open("rb") as stream:
            stream.seek(start)
            return stream.read().decode(errors="replace")

    def _unconverged(self, said: str) -> str:
        if self.code == "vasp":
            return "" if getattr(self._inner, "converged", True) in (True, None) else "the SCF did not converge"
        if NOT_CONVERGED[self.code] in said:
            return "the SCF did not converge; raise its number of steps or its mixing, or look at the cell"
        if self.code in CONVERGED and CONVERGED[self.code] not in said:
            return "the output does not say that the SCF converged"
        return ""


def _last_error(said: str) -> str:
    """Return the last lines of a code's output that speak of an error; of CP2K what stands beside its drawing."""
    box = _CP2K_ABORT.search(said)
    if box:
        return " ".join(" ".join(line[18:79] for line in box.group(1).splitlines()).split())[:200]
    lines = [" ".join(line.strip(" *").split()) for line in said.splitlines() if _ERROR.search(line)]
    return " | ".join(line for line in lines[-2:] if line)[:200]
