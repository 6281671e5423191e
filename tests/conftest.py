"""What several tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def realdata() -> Path:
    """Folder of reference data; a test that needs it skips where the variable is not set."""
    folder = os.environ.get("IONSTRIDE_REALDATA")
    if not folder:
        pytest.skip("IONSTRIDE_REALDATA is not set: no reference data on this machine")
    return Path(folder).resolve()


@pytest.fixture
def ionstride():
    """Run the command line in a process of its own; returns (exit code, stdout, stderr)."""

    def call(*words, cwd=None, timeout=600, env=None):
        done = subprocess.run(
            [sys.executable, "-m", "ionstride", *map(str, words)],
            capture_output=True, text=True, cwd=cwd, timeout=timeout, check=False, env={**os.environ, **(env or {})},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return call
