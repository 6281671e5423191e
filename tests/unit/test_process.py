"""Outside programs: found, quoted when they fail, and never left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ionstride.errors import MissingToolError, ToolError
from ionstride.process import environment, find_program, run_program


def test_a_missing_program_names_what_brings_it():
    """'No such file' alone leaves the user to guess the package."""
    with pytest.raises(MissingToolError, match=r"ionstride\[md\]"):
        find_program("no-such-program-of-ours")


def test_failure_quotes_the_last_words(tmp_path):
    """The reason is in the log; the sentence must carry it."""
    log = tmp_path / "log"
    with pytest.raises(ToolError, match="ERROR: pair style unknown"):
        run_program(
            ["/bin/sh", "-c", "echo fine; echo 'ERROR: pair style unknown'; exit 3"],
            folder=tmp_path, log=log, env=environment(1),
        )  # fmt: skip


def test_watch_stops_a_program(tmp_path):
    """A run gone bad must end at once, with its grandchildren."""
    begun = time.monotonic()
    reason = run_program(
        ["/bin/sh", "-c", "sleep 100 & sleep 100"], folder=tmp_path, log=tmp_path / "log", env=environment(1),
        watch=lambda: "bad", every_s=0.1,
    )  # fmt: skip
    assert reason == "bad"
    assert time.monotonic() - begun < 30


def test_programs_die_with_a_killed_parent(tmp_path):
    """An orphaned LAMMPS would go on writing into the folder of the next run."""
    code = (
        "import sys; from pathlib import Path; from ionstride.process import *\n"
        "folder = Path(sys.argv[1])\n"
        "beat = '(while :; do date +%s%N > beat; sleep 0.05; done) & wait'\n"
        "run_program(['/bin/sh', '-c', beat], folder=folder, log=folder / 'log', env=environment(1))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    beat = tmp_path / "beat"
    _until(beat.is_file)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    def still() -> bool:
        before = beat.read_text()
        time.sleep(0.5)
        return beat.read_text() == before

    _until(still)


def _until(is_true, seconds=20.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)
