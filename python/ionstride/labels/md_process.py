"""``python -m ionstride.labels.md_process FOLDER`` runs the job of a grid that lies in a folder."""

import sys
from pathlib import Path

from ..errors import IonstrideError
from .md import run_job


def main() -> int:
    """Return 0 if the run is whole, 3 if it stopped, 2 if it could not begin."""
    try:
        reason = run_job(Path(sys.argv[1]))
    except IonstrideError as error:
        print(error, file=sys.stderr)
        return 2
    if reason:
        print(reason, file=sys.stderr)
    return 3 if reason else 0


if __name__ == "__main__":
    raise SystemExit(main())
