"""Files as jobs for any machine, and their results as one file.

``llmzip.ray`` and ``llmzip.spark`` share this. Each hands in ``run(function, jobs)``, which calls
the function for every job, anywhere and in any order, again if a worker is lost, and gives the
results in the order of the jobs. The functions depend on their job alone and write nothing that
another call could see half done, so it does not matter who calls them, nor how often.
"""

import contextlib
import functools
import io
import itertools
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import NamedTuple

from ._api import compress, decompress
from ._file import Frame, LlmzFile, frames
from ._llmzip import LlmzError

SUFFIX = ".llmz"
#: The length of frames unless another is named: longer ones save little.
FRAME_SIZE = 1 << 20
#: A frame is up to an eighth longer than this, and must stay below the 1 GiB of the format.
LONGEST_FRAME = 512 << 20
#: Frames are decompressed by the same job up to this many original bytes.
RUN_SIZE = 1 << 20
#: Lines that are handed on at once.
LINES = 1 << 14
#: Bytes read at once.
_STEP = 1 << 16


class Source(NamedTuple):
    """A file as it was when the jobs were made; all of them must find it so."""

    path: str
    size: int
    #: When it was last written, in nanoseconds.
    written: int

    @classmethod
    def of(cls, path):
        path = os.path.abspath(path)
        status = os.stat(path)
        return cls(path, status.st_size, status.st_mtime_ns)

    def open(self):
        """The file, opened to read."""
        file = open(self.path, "rb")
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.written):
            file.close()
            raise LlmzError(f"{self.path} has changed since the work began")
        return file


def cut(file, number, frame_size, size):
    """Offset of a cut of ``file``, which has ``size`` bytes; cut 0 is its start.

    The rule of FORMAT.md, "Reading a part": behind the first line feed at or after
    ``number * frame_size`` if there is one within an eighth of a frame, else at that offset.
    """
    earliest = at = number * frame_size
    if number == 0 or earliest >= size:
        return min(earliest, size)
    file.seek(earliest)
    latest = earliest + frame_size // 8
    while piece := file.read(min(_STEP, latest - at)):
        if (found := piece.find(b"\n")) >= 0:
            return at + found + 1
        at += len(piece)
    return earliest


def compress_frame(source, frame_size, level, options, number):
    """Frame ``number`` of a file with its index; nothing if there is no such frame."""
    with source.open() as file:
        start = cut(file, number, frame_size, source.size)
        end = cut(file, number + 1, frame_size, source.size)
        file.seek(start)
        original = file.read(end - start)
    if len(original) < end - start:
        raise LlmzError(f"{source.path} ends before byte {end}")
    if number > 0 and not original:
        return b""
    # It is cut already, and has an index because of this option.
    return compress(original, level, frame_size=max(1, len(original)), **options)


def compress_file(run, path, output, frame_size, level, overwrite, options):
    """Compress a file in frames, and return the path of the output."""
    if not 1 <= frame_size <= LONGEST_FRAME:
        raise ValueError(f"frame_size {frame_size}: frames have 1 to {LONGEST_FRAME} bytes")
    source = Source.of(path)
    output = os.path.abspath(source.path + SUFFIX if output is None else output)
    function = functools.partial(compress_frame, source, frame_size, level, options)
    count = max(1, -(-source.size // frame_size))
    return _write(run, function, range(count), source, output, overwrite)


class Run(NamedTuple):
    """Frames of a file that follow each other."""

    source: Source
    frames: tuple[Frame, ...]
    #: Whether the file ends with them.
    is_last: bool

    @classmethod
    def of(cls, path):
        """All frames of a file."""
        source = Source.of(path)
        with source.open() as file:
            return cls(source, tuple(frames(file)), True)

    @property
    def original_size(self):
        """Original bytes of all frames."""
        return sum(frame.original_size for frame in self.frames)

    def split(self, least):
        """The frames in runs of at least ``least`` original bytes; the last may have fewer."""
        made, begun, size = [], [], 0
        for frame in self.frames:
            begun.append(frame)
            size += frame.original_size
            is_last = frame is self.frames[-1]
            if size >= least or is_last:
                made.append(Run(self.source, tuple(begun), is_last and self.is_last))
                begun, size = [], 0
        return made

    def read(self):
        """The compressed bytes."""
        size = sum(frame.size for frame in self.frames)
        with self.source.open() as file:
            file.seek(self.frames[0].offset)
            return file.read(size)


def decompress_run(options, run):
    """The original of a run of frames."""
    return decompress(run.read(), **options)


def decompress_file(run, path, output, overwrite, options):
    """Decompress a file, several frames at the same time, and return the path of the output."""
    source = Source.of(path)
    output = os.path.abspath(_without_suffix(source.path) if output is None else output)
    function = functools.partial(decompress_run, options)
    runs = Run.of(source.path).split(RUN_SIZE)
    return _write(run, function, runs, source, output, overwrite)


def pieces(run, options):
    """The originals of the frames of a run, each with its offset in the original of the file."""
    compressed = memoryview(run.read())
    start = run.frames[0].offset
    for frame in run.frames:
        at = frame.offset - start
        yield frame.original_offset, decompress(compressed[at : at + frame.size], **options)


def lines(run, options):
    """The lines of a run in lists, without their line feeds. Behind it, no line may go on."""
    return batches(_lines(run, options), LINES)


def _lines(run, options):
    line = b"\n"
    with LlmzFile(io.BytesIO(run.read()), **options) as file:
        for line in file:
            yield line.removesuffix(b"\n").decode()
    if not (run.is_last or line.endswith(b"\n")):
        frame = run.frames[-1]
        raise LlmzError(
            f"a line of {run.source.path} goes on behind the frame that ends at byte "
            f"{frame.original_offset + frame.original_size}; read the file with split=False"
        )


def read_files(paths):
    """A run of all frames for each ``.llmz`` file of ``paths`` that has any."""
    runs = (Run.of(file) for file, _ in _files(paths) if file.name.endswith(SUFFIX))
    return [run for run in runs if run.frames]


def runs(files, least):
    """All frames in runs of ``least`` original bytes; if that is ``None``, a file is a run."""
    return [run for file in files for run in ([file] if least is None else file.split(least))]


def batches(items, size):
    """Lists of ``size`` items; the last may have fewer."""
    items = iter(items)
    while some := list(itertools.islice(items, size)):
        yield some


def compress_files(run, paths, folder, level, overwrite, options):
    """Compress files into a folder, each by a job, and return the paths of the outputs."""
    pairs = [
        (file, Path(folder) / f"{place}{SUFFIX}")
        for file, place in _files(paths)
        if not file.name.endswith(SUFFIX)
    ]
    return _write_each(run, _compress_to, pairs, folder, overwrite, (level, options))


def decompress_files(run, paths, folder, overwrite, options):
    """Decompress files into a folder, each by a job, and return the paths of the outputs."""
    pairs = [
        (file, Path(folder) / _without_suffix(str(place)))
        for file, place in _files(paths)
        if file.name.endswith(SUFFIX)
    ]
    return _write_each(run, _decompress_to, pairs, folder, overwrite, (options,))


def _compress_to(scratch, level, options, pair):
    path, output = pair
    with open(path, "rb") as file, _becoming(output, scratch, path) as made:
        with LlmzFile(made, "w", level=level, **options) as compressed:
            shutil.copyfileobj(file, compressed, RUN_SIZE)
    return b""


def _decompress_to(scratch, options, pair):
    path, output = pair
    with LlmzFile(path, **options) as file, _becoming(output, scratch, path) as made:
        shutil.copyfileobj(file, made, RUN_SIZE)
    return b""


def _write(run, function, jobs, source, output, overwrite):
    """Write the results of all jobs, one behind the other, and return ``output``."""
    _check([output], overwrite)
    with _scratch(os.path.dirname(output)) as scratch:
        with _becoming(output, scratch, source.path) as made:
            for result in run(function, jobs):
                made.write(result)
    return output


def _write_each(run, function, pairs, folder, overwrite, arguments):
    """Call ``function`` for each pair of a file and its output, and return the outputs."""
    pairs = [(os.path.abspath(path), os.path.abspath(output)) for path, output in pairs]
    outputs = [output for _, output in pairs]
    _check(outputs, overwrite)
    for output in {*map(os.path.dirname, outputs), folder}:
        os.makedirs(output, exist_ok=True)
    with _scratch(os.path.abspath(folder)) as scratch:
        for _ in run(functools.partial(function, scratch, *arguments), pairs):
            pass
    return outputs


def _scratch(folder):
    """A folder for what is being written; what lost workers have left goes with it."""
    return tempfile.TemporaryDirectory(prefix=".llmzip-", dir=folder)


@contextlib.contextmanager
def _becoming(output, scratch, source):
    """A file that becomes ``output`` when it is whole, with the permissions of ``source``."""
    path = os.path.join(scratch, uuid.uuid4().hex)
    with open(path, "xb") as file:
        shutil.copymode(source, path)
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(path, output)


def _check(outputs, overwrite):
    """Refuse outputs that are named twice or, unless they may be overwritten, exist."""
    seen = set()
    for output in outputs:
        if output in seen:
            raise ValueError(f"two files would be written to {output}")
        if os.path.exists(output) and not overwrite:
            raise FileExistsError(f"{output} exists; overwrite=True replaces it")
        seen.add(output)


def _files(paths):
    """Files and those below folders, each with its name or its path below the folder."""
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    for path in map(Path, paths):
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file():
                    yield file, file.relative_to(path)
        else:
            yield path, Path(path.name)


def _without_suffix(path):
    if not path.endswith(SUFFIX):
        raise ValueError(f"{path} does not end in {SUFFIX}; name the output")
    return path.removesuffix(SUFFIX)
