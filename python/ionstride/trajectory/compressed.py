"""Files packed by gzip or Zstandard, read as if they were not."""

import errno
import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import FormatError, InputError

PACKED = (".gz", ".zst")
_CHUNK = 1 << 18


def plain_name(path: Path) -> str:
    """Return the name without .gz or .zst."""
    return path.stem if path.suffix.lower() in PACKED else path.name


class _ZstdStream(io.RawIOBase):
    """Bytes of a Zstandard file; the package's own reader takes a cut file for a whole one."""

    def __init__(self, packed: IO[bytes]) -> None:
        import zstandard

        self._packed = packed
        self._fresh = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._fresh()
        self._started = False
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            chunk = self._frame.unused_data if self._frame.eof else b""
            chunk = chunk or self._packed.read(_CHUNK)
            if not chunk:
                if self._started and not self._frame.eof:
                    raise EOFError("the stream ends before its end mark")
                return 0
            if self._frame.eof:  # several frames in a row are one file, as zstd -d takes them
                self._frame = self._fresh()
            self._started = True
            self._ready = self._frame.decompress(chunk)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


@contextmanager
def open_bytes(path: Path) -> Iterator[Any]:
    """Open a file for reading, unpacked on the way if its name ends in .gz or .zst.

    Raises
    ------
    FormatError
        If the packed stream is cut off or corrupt, wherever in the block it is found out.
    InputError
        If the file cannot be read.
    """
    import zstandard

    suffix = path.suffix.lower()
    try:
        with path.open("rb") as stream:
            if suffix == ".gz":
                yield gzip.GzipFile(fileobj=stream)
            elif suffix == ".zst":
                yield io.BufferedReader(_ZstdStream(stream), _CHUNK)
            else:
                yield stream
    except EOFError as error:
        raise FormatError(
            path, "is cut off: the packed file ends before its end mark; copy or pack it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise FormatError(path, f"is corrupt and cannot be unpacked ({error})") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file, packed or not; bytes that are no text become a mark that no number holds."""
    with open_bytes(path) as stream:
        yield io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline=None)


@contextmanager
def unpacked(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Give plain files for packed ones, in a temporary folder that goes with the block; plain ones as they are.

    Of a stream cut off by a killed run, what is there is kept: its reader drops the cut last frame.  Messages of
    errors raised in the block name the files as the user gave them.

    Raises
    ------
    FormatError
        If a packed file is corrupt.
    InputError
        If there is no room for the unpacked file; TMPDIR says where it goes.
    """
    if not any(path.suffix.lower() in PACKED for path in paths):
        yield list(paths)
        return
    with tempfile.TemporaryDirectory(prefix="ionstride-") as folder:
        plain: list[Path] = []
        for number, path in enumerate(paths):
            place = path
            if path.suffix.lower() in PACKED:
                place = Path(folder) / str(number) / plain_name(path)
                place.parent.mkdir()
                _unpack(path, place)
            plain.append(place)
        try:
            yield plain
        except InputError as error:
            said = str(error)
            for path, place in zip(paths, plain, strict=True):
                said = said.replace(str(place), str(path))
            if not isinstance(error, FormatError):
                raise InputError(said) from error
            given = next((p for p, q in zip(paths, plain, strict=True) if q == error.path), error.path)
            where = f"{given}" if error.line is None else f"{given}, line {error.line}"
            raise FormatError(given, said.removeprefix(f"{where}: "), error.line) from error


def _unpack(path: Path, place: Path) -> None:
    written = 0
    with open_bytes(path) as stream:
        while True:
            try:
                chunk = stream.read1(_CHUNK)
            except EOFError:
                if written == 0:
                    raise
                return
            if not chunk:
                return
            try:
                with place.open("ab") as out:
                    written += out.write(chunk)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise InputError(
                    f"no room to unpack {path} in '{place.parent}'; set TMPDIR to a folder with room, or unpack it "
                    "yourself"
                ) from error
