"""Errors a user can mend; the command line prints each as one sentence and exits with 2."""

from pathlib import Path


class IonstrideError(Exception):
    """Base of every error that carries a sentence for the user."""


class InputError(IonstrideError):
    """What the user gave is unusable: what, what came, what was wanted, how to mend it."""


class FormatError(InputError):
    """A file does not say what its format promises.

    Parameters
    ----------
    path : path of the file.
    problem : what is wrong, as a clause.
    line : 1-based line number, if one is to blame.
    """

    def __init__(self, path: Path | str, problem: str, line: int | None = None) -> None:
        where = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {problem}")
        self.path = Path(path)
        self.line = line


class PhysicsError(IonstrideError):
    """A legal question that has no physical answer on these data."""


class MissingToolError(IonstrideError):
    """A program or package is not there; the message names what brings it."""


class ToolError(IonstrideError):
    """An outside program (dp, lmp) failed; the message names its log and quotes its last words."""


class DiskFullError(IonstrideError):
    """The disk is full; the message says what is safe.

    Parameters
    ----------
    folder : where there was no room.
    what : what was being done.
    """

    def __init__(self, folder: Path | str, what: str) -> None:
        super().__init__(
            f"the disk of '{folder}' is full: {what} could not be written; nothing is half-written, finished stages, "
            "labels and checkpoints are saved: free some space and run the same command again"
        )
