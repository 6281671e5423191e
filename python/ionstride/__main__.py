"""``python -m ionstride`` is ``ionstride``."""

import sys

if __name__ == "__main__":
    try:
        from .cli import main

        code = main()
    except KeyboardInterrupt:  # so early that nothing is begun
        print("ionstride: interrupted", file=sys.stderr)
        code = 130
    raise SystemExit(code)
