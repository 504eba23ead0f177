"""Compressed files: ``open``, ``LlmzFile`` and ``frames``."""

import builtins
import codecs
import errno
import io
import os
import threading
from typing import NamedTuple

from . import _llmzip
from ._llmzip import LlmzCompressor, Reader


class _RawReader(io.RawIOBase):
    """The original of a compressed file, without a buffer."""

    def __init__(self, file, options):
        self._file = file
        self._reader = Reader(file, **options)

    def readable(self):
        return True

    def readinto(self, buffer):
        with memoryview(buffer).cast("B") as view:
            data = self._reader.read(len(view))
            view[: len(data)] = data
        return len(data)

    def seekable(self):
        return _is_seekable(self._file)

    def seek(self, offset, whence=io.SEEK_SET):
        if not self.seekable():
            raise io.UnsupportedOperation("the file below cannot seek")
        match whence:
            case io.SEEK_SET:
                start = 0
            case io.SEEK_CUR:
                start = self._reader.tell()
            case io.SEEK_END:
                start = self._reader.size()
            case _:
                raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        position = max(0, start + offset)
        self._reader.seek(position)
        return position

    def tell(self):
        return self._reader.tell()


class _Writer:
    """Writes compressed bytes to a file below, for one thread at a time and in order."""

    def __init__(self, file, compressor):
        self._file = file
        self._compressor = compressor
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._has_failed = False

    @property
    def last_mode(self):
        return self._compressor.last_mode

    def compress(self, data):
        with self._turn():
            self._write(self._compressor.compress(data))

    def flush(self, mode):
        with self._turn():
            self._write(self._compressor.flush(mode))

    def close(self):
        """End the frame. After an error there is nothing that could be ended."""
        with self._turn():
            if not self._has_failed:
                self._write(self._compressor.flush(LlmzCompressor.FLUSH_FRAME))

    def _turn(self):
        if self._process != os.getpid():
            # The thread that had the lock may have stayed in the parent.
            self._lock, self._process = threading.RLock(), os.getpid()
        return self._lock

    def _write(self, data):
        if self._has_failed:
            raise OSError("an earlier write to the file below has failed")
        try:
            _write_all(self._file, data)
        except BaseException:
            self._has_failed = True
            raise


def _write_all(file, data):
    """Write all of ``data``, although a raw file may take less of it at a time."""
    while data:
        written = file.write(data)
        if written is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "the file below would have to wait", 0)
        if not isinstance(written, int):
            # Some objects with `write` return nothing, and take everything.
            return
        if not 0 < written <= len(data):
            raise OSError(f"the file below has written {written} of {len(data)} bytes")
        data = data[written:]


def _is_seekable(file):
    return hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable())


class LlmzFile(io.BufferedIOBase):
    """A compressed file, read or written as if it were not compressed.

    ``file``: a path, or a binary file object, which stays open when this one is closed.

    ``mode``: ``"r"`` to read, ``"w"`` to write, ``"x"`` to write what does not exist yet, ``"a"``
    to append a frame; each also with ``"b"``.

    To write, ``level`` and the options of ``llmzip.compress``; to read, those of
    ``llmzip.decompress``. A file that was opened to read can seek if the file below can. It is read
    in order until the first ``seek``; from then on only the frames that are read are decompressed,
    so files with ``frame_size`` are read in any order at little cost.
    """

    #: As ``LlmzCompressor.FLUSH_BLOCK`` and ``FLUSH_FRAME``.
    FLUSH_BLOCK = LlmzCompressor.FLUSH_BLOCK
    FLUSH_FRAME = LlmzCompressor.FLUSH_FRAME

    def __init__(self, file, /, mode="r", *, level=None, **options):
        self._file = None
        self._closes_file = False
        self._writer = None
        self._reader = None
        if mode not in ("r", "rb", "w", "wb", "x", "xb", "a", "ab"):
            raise ValueError(f"mode is r, w, x or a, with or without b, not {mode!r}")
        self._mode = mode[0]
        if self._mode == "r" and level is not None:
            raise TypeError("level is to write; a file that is read has its own")
        compressor = None
        if self._mode != "r":
            compressor = LlmzCompressor(level, **options)
        self._open(file)
        try:
            if self._mode == "r":
                self._reader = io.BufferedReader(_RawReader(self._file, options), 128 << 10)
            else:
                self._writer = _Writer(self._file, compressor)
            self._position = 0
        except BaseException:
            self._close_file()
            raise

    def _open(self, file):
        if isinstance(file, (str, bytes, os.PathLike)):
            self._file = builtins.open(file, self._mode + "b")
            self._closes_file = True
        elif hasattr(file, "read" if self._mode == "r" else "write"):
            self._file = file
        else:
            raise TypeError("file must be a str, bytes, os.PathLike or a binary file object")

    def _close_file(self):
        file, self._file = self._file, None
        if self._closes_file and file is not None:
            file.close()

    def close(self):
        """End the frame, if the file is written, and close it. Closing again does nothing."""
        if self._file is None:
            return
        try:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            elif self._writer is not None:
                writer, self._writer = self._writer, None
                writer.close()
        finally:
            self._close_file()

    def write(self, data, /):
        """Take ``data``, any object with bytes, and return how many it has."""
        self._check_open()
        if (writer := self._writer) is None:
            raise io.UnsupportedOperation("the file was not opened to write")
        with memoryview(data) as view:
            length = view.nbytes
        writer.compress(data)
        self._position += length
        return length

    def flush(self, mode=FLUSH_BLOCK):
        """Write everything so far to the file below, so that it can be decompressed.

        This ends the frame, and what follows is in another one, which makes the file longer. A
        file that is read is left as it is.
        """
        self._check_open()
        if self._mode == "r":
            return
        if mode not in (self.FLUSH_BLOCK, self.FLUSH_FRAME):
            raise ValueError("mode is FLUSH_BLOCK or FLUSH_FRAME")
        if self._writer is None or self._writer.last_mode == mode:
            return
        self._writer.flush(mode)
        if hasattr(self._file, "flush"):
            self._file.flush()

    def read(self, size=-1, /):
        """Return at most ``size`` original bytes, or all; none at the end."""
        return self._readable().read(-1 if size is None else size)

    def read1(self, size=-1, /):
        """Return at most ``size`` original bytes, in as few steps as can be."""
        reader = self._readable()
        return reader.read1(io.DEFAULT_BUFFER_SIZE if size is None or size < 0 else size)

    def readinto(self, buffer, /):
        """Fill ``buffer`` with original bytes and return how many."""
        return self._readable().readinto(buffer)

    def readinto1(self, buffer, /):
        """As ``readinto``, in as few steps as can be."""
        return self._readable().readinto1(buffer)

    def readline(self, size=-1, /):
        """Return a line with its end, or at most ``size`` bytes of it."""
        return self._readable().readline(-1 if size is None else size)

    def peek(self, size=-1, /):
        """Return original bytes, at least one unless at the end, and read none."""
        return self._readable().peek(size)

    def __next__(self):
        if line := self._readable().readline():
            return line
        raise StopIteration

    def seek(self, offset, whence=io.SEEK_SET, /):
        """Go on reading at ``offset``, an original byte, and return where that is."""
        return self._readable().seek(offset, whence)

    def tell(self):
        """Return the number of original bytes before the next one."""
        self._check_open()
        return self._position if self._reader is None else self._reader.tell()

    @property
    def name(self):
        """The name of the file below."""
        self._check_open()
        return self._file.name

    @property
    def mode(self):
        """``"rb"`` or ``"wb"``."""
        return "rb" if self._mode == "r" else "wb"

    @property
    def closed(self):
        """Whether the file is closed."""
        return self._file is None

    def fileno(self):
        """Return the descriptor of the file below."""
        self._check_open()
        return self._file.fileno()

    def readable(self):
        """Whether the file was opened to read."""
        self._check_open()
        return self._reader is not None

    def writable(self):
        """Whether the file was opened to write."""
        self._check_open()
        return self._mode != "r"

    def seekable(self):
        """Whether the file was opened to read, and the file below can seek."""
        return self.readable() and self._reader.seekable()

    def _check_open(self):
        if self._file is None:
            raise ValueError("I/O operation on closed file")

    def _readable(self):
        self._check_open()
        if self._reader is None:
            raise io.UnsupportedOperation("the file was not opened to read")
        return self._reader


def open(
    file, /, mode="rb", *, level=None, encoding=None, errors=None, newline=None, **options
):
    """Open a compressed file, in binary or text mode.

    ``mode``: ``"r"``, ``"w"``, ``"x"`` or ``"a"``, alone or with ``"b"`` for bytes, the default, or
    with ``"t"`` for text, to which ``encoding``, ``errors`` and ``newline`` apply as in
    ``io.TextIOWrapper``. The rest is for ``LlmzFile``, which is returned for bytes.
    """
    is_text = "t" in mode
    if is_text and "b" in mode:
        raise ValueError(f"mode {mode!r} is both text and binary")
    if not is_text:
        for name, value in [("encoding", encoding), ("errors", errors), ("newline", newline)]:
            if value is not None:
                raise ValueError(f"{name} is for text")
    if not is_text:
        return LlmzFile(file, mode, level=level, **options)
    # What cannot be is refused before a file is emptied.
    encoding = io.TextIOWrapper(io.BytesIO(), encoding, errors, newline).encoding
    binary = LlmzFile(file, mode.replace("t", ""), level=level, **options)
    if mode[0] in "wx" and codecs.lookup(encoding).name in ("utf-16", "utf-32"):
        # TextIOWrapper writes their mark of byte order to files that seek alone.
        binary.write("".encode(encoding))
    return io.TextIOWrapper(binary, encoding, errors, newline)


class Frame(NamedTuple):
    """Where a frame is, in bytes. What stands behind a frame, such as its index, belongs to it."""

    #: Offset of the frame in the file.
    offset: int
    #: Bytes to the next frame, or to the end of the file.
    size: int
    #: Offset of the frame's original in the original of the file.
    original_offset: int
    #: Original bytes, at least 1.
    original_size: int


def frames(file):
    """Return the ``Frame`` of each frame in a compressed file that has an original.

    ``file``: a path, or a binary file object that can seek, which stays open. The header of every
    block is read, a small read for each. Nothing is decompressed, and no checksum is verified.
    ``llmzip.decompress`` takes the bytes of one frame, or of several that follow each other.
    """
    if isinstance(file, (str, bytes, os.PathLike)):
        with builtins.open(file, "rb") as opened:
            return frames(opened)
    found = _llmzip.frames(file)
    file.seek(0, os.SEEK_END)
    ends = [offset for offset, _, _ in found[1:]] + [file.tell()]
    return [
        Frame(offset, end - offset, original_offset, original_size)
        for (offset, original_offset, original_size), end in zip(found, ends)
    ]
