"""``python -m ionstride`` is ``ionstride``."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
