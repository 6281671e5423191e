"""Nothing half-written, nothing stale taken for good, one run a folder."""

import multiprocessing
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ionstride.errors import DiskFullError, InputError
from ionstride.runrecord import atomic_path, file_hash, is_fresh, lock_folder, tree_hash, write_json, write_record


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """A crash in the middle of writing must not destroy what was there."""
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == '{\n "x": 1\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_freshness_sees_a_changed_output(tmp_path):
    """An output that was edited or cut off is not good, whatever the key says."""
    (tmp_path / "out.txt").write_text("numbers")
    write_record(tmp_path, "key", ["out.txt"], wall_s=1.0, inputs={})
    assert is_fresh(tmp_path, "key")
    assert not is_fresh(tmp_path, "other")
    (tmp_path / "out.txt").write_text("number")
    assert not is_fresh(tmp_path, "key")
    (tmp_path / "out.txt").unlink()
    assert not is_fresh(tmp_path, "key")


def test_tree_hash_sees_names_and_content(tmp_path):
    """Two data folders with the same bytes under other names are not the same data."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "coord.npy").write_bytes(b"1")
    assert tree_hash(tmp_path / "a") == tree_hash(tmp_path / "b")
    (tmp_path / "b" / "coord.npy").rename(tmp_path / "b" / "force.npy")
    assert tree_hash(tmp_path / "a") != tree_hash(tmp_path / "b")
    assert tree_hash(tmp_path / "a" / "coord.npy") == file_hash(tmp_path / "a" / "coord.npy")


def _hold(folder, ready, leave):
    with lock_folder(Path(folder)):
        ready.set()
        leave.wait(30)


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_killed(tmp_path):
    """Two runs in one folder overwrite each other; a lock left by a kill must not block for ever."""
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path), ready, leave))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(InputError, match=f"process {holder.pid}"), lock_folder(tmp_path):
        pass
    holder.kill()
    holder.join()
    with lock_folder(tmp_path):
        pass


def test_a_full_disk_is_one_sentence_and_saves_what_was(tmp_path):
    """A full disk must not leave half a file nor a traceback."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small file system to fill can only be mounted by root")
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let a file system be mounted")
    try:
        write_json(small / "a.json", {"kept": True})
        before = (small / "a.json").read_text()
        with pytest.raises(DiskFullError, match="full"):
            write_json(small / "a.json", {"big": "x" * 200_000})
        assert (small / "a.json").read_text() == before
        assert [p.name for p in small.iterdir()] == ["a.json"]
    finally:
        subprocess.run(["umount", str(small)], check=True)
