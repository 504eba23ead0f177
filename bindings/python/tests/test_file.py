"""``open`` and ``LlmzFile``."""

import gc
import io
import random
import threading
import weakref

import llmzip
import pytest


class Pipe(io.RawIOBase):
    """A file that cannot seek."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        # As a pipe, it gives what is there.
        return self._data.readinto(memoryview(buffer)[:100])


@pytest.fixture
def path(tmp_path, text):
    path = tmp_path / "text.llmz"
    with llmzip.open(path, "wb", level=1, frame_size=1000) as file:
        assert file.writable() and not file.readable() and not file.seekable()
        assert file.write(text[:10]) == 10 and file.tell() == 10
        file.write(memoryview(text)[10:])
    return path


def test_what_is_written_is_read(path, text):
    assert llmzip.decompress(path.read_bytes()) == text
    with llmzip.open(path) as file:
        assert (file.mode, file.name, file.readable()) == ("rb", str(path), True)
        assert file.read() == text
        assert file.read(5) == b"" and file.tell() == len(text)
    assert file.closed
    with pytest.raises(ValueError):
        file.read()


def test_every_way_to_read(path, text):
    with llmzip.open(path) as file:
        assert text.startswith(file.peek(10)) and file.tell() == 0
        assert file.read(7) == text[:7]
        part = file.read1(5)
        assert 0 < len(part) <= 5
        buffer = bytearray(20)
        at = file.tell()
        assert file.readinto(buffer) == 20 and buffer == text[at : at + 20]
        file.seek(0)
        assert file.readline() == text.splitlines(True)[0]
        file.seek(0)
        assert list(file) == text.splitlines(True)
        file.seek(0)
        assert file.readlines() == text.splitlines(True)
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"")


def test_text_is_read_and_written(tmp_path):
    path = tmp_path / "text.llmz"
    lines = "Grüße\nпривет\n"
    with llmzip.open(path, "wt", encoding="utf-16-le", newline="\r\n") as file:
        file.write(lines)
    with llmzip.open(path, "rt", encoding="utf-16-le") as file:
        assert file.read() == lines
    assert llmzip.decompress(path.read_bytes()).decode("utf-16-le") == lines.replace("\n", "\r\n")


def test_any_place_can_be_read(path, text):
    chance = random.Random(3)
    with llmzip.open(path) as file:
        assert file.seekable()
        for _ in range(60):
            at = chance.randrange(len(text))
            assert file.seek(at) == at and file.tell() == at
            assert file.read(50) == text[at : at + 50]
        assert file.seek(-5, io.SEEK_END) == len(text) - 5
        assert file.read() == text[-5:]
        file.seek(10)
        assert file.seek(5, io.SEEK_CUR) == 15
        assert file.seek(len(text) + 100) == len(text) + 100 and file.read() == b""
        with pytest.raises(ValueError):
            file.seek(0, 5)


def test_a_file_that_cannot_seek_is_read_in_order(path, text):
    with llmzip.open(Pipe(path.read_bytes())) as file:
        assert not file.seekable()
        assert file.read(1000) == text[:1000]
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0)
        assert file.read() == text[1000:]


def test_modes(tmp_path, text):
    path = tmp_path / "file.llmz"
    for mode in ("xb", "ab", "a"):
        with llmzip.open(path, mode, level=1) as file:
            file.write(text[:500])
    with llmzip.open(path) as file:
        assert file.read() == text[:500] * 3
    with pytest.raises(FileExistsError):
        llmzip.open(path, "x")
    with pytest.raises(FileNotFoundError):
        llmzip.open(tmp_path / "absent")
    for mode in ("rw", "q", "rbt", ""):
        with pytest.raises(ValueError):
            llmzip.open(path, mode)
    with pytest.raises(ValueError):
        llmzip.open(path, "rb", encoding="utf-8")
    with pytest.raises(TypeError):
        llmzip.open(path, level=5)
    with pytest.raises(TypeError):
        llmzip.open(5)


def test_wrong_options_leave_an_existing_file_alone(path):
    before = path.read_bytes()
    with pytest.raises(ValueError):
        llmzip.open(path, "wb", level=77)
    assert path.read_bytes() == before


def test_a_file_object_stays_open(text):
    below = io.BytesIO()
    with llmzip.open(below, "wb", level=1) as file:
        file.write(text)
        file.flush()
        assert llmzip.decompress(below.getvalue()) == text
    assert not below.closed
    below.seek(0)
    with llmzip.LlmzFile(below) as file:
        assert file.read() == text
    assert not below.closed


def test_errors_of_the_file_below_come_through(path):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        llmzip.open(Failing(b"x")).read()

    class Wrong(io.BytesIO):
        def read(self, size=-1):
            return bytes(size + 1)

    with pytest.raises(OSError, match="more bytes"):
        llmzip.open(Wrong(b"x")).read()


def test_damage_and_a_missing_end_are_errors(path, text):
    compressed = path.read_bytes()
    with pytest.raises(EOFError):
        llmzip.open(io.BytesIO(compressed[:-30])).read()
    damaged = bytearray(compressed)
    damaged[200] ^= 1
    with pytest.raises(llmzip.LlmzError):
        llmzip.open(io.BytesIO(damaged)).read()
    with pytest.raises(llmzip.LlmzError):
        llmzip.open(io.BytesIO(b"something else")).read()


def test_an_empty_file_has_a_frame(tmp_path):
    path = tmp_path / "empty.llmz"
    llmzip.open(path, "w").close()
    assert path.stat().st_size > 0
    with llmzip.open(path) as file:
        assert file.read() == b""


def test_frames_are_found_and_decompressed_by_themselves(tmp_path, text):
    path = tmp_path / "frames.llmz"
    whole = llmzip.compress(text, 1, frame_size=1000)
    path.write_bytes(llmzip.compress(b"", 1) + whole + llmzip.compress(text[:10], 1))
    found = llmzip.frames(path)
    assert len(found) == -(-len(text) // 1000) + 1
    assert [frame.original_size for frame in found[-1:]] == [10]
    data, at, original = path.read_bytes(), found[0].offset, 0
    for frame in found:
        assert (frame.offset, frame.original_offset) == (at, original)
        part = llmzip.decompress(data[at : at + frame.size])
        assert part == (text + text)[original : original + frame.original_size]
        at, original = at + frame.size, original + frame.original_size
    assert at == len(data)
    two = data[found[2].offset : found[4].offset]
    assert llmzip.decompress(two) == text[found[2].original_offset : found[4].original_offset]


def test_frames_of_what_is_no_compressed_file(tmp_path, text):
    assert llmzip.frames(io.BytesIO(llmzip.compress(b"", 1))) == []
    compressed = llmzip.compress(text, 1, frame_size=1000)
    with pytest.raises(EOFError):
        llmzip.frames(io.BytesIO(compressed[:-1]))
    with pytest.raises(llmzip.LlmzError):
        llmzip.frames(io.BytesIO(text))
    with pytest.raises(FileNotFoundError):
        llmzip.frames(tmp_path / "absent")
    with pytest.raises(AttributeError):
        llmzip.frames(1)


def test_threads_write_one_after_the_other():
    below = io.BytesIO()
    lines = [b"%d" % thread * 99 + b"\n" for thread in range(4)]
    with llmzip.LlmzFile(below, "w", level=1, block_size=100) as file:

        def write(line):
            for _ in range(50):
                file.write(line)

        threads = [threading.Thread(target=write, args=(line,)) for line in lines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    written = llmzip.decompress(below.getvalue()).splitlines(keepends=True)
    assert sorted(written) == sorted(lines * 50)


class Narrow(io.RawIOBase):
    """A raw file that takes a few bytes at a time, or nothing, and no more than it has room for."""

    def __init__(self, most, room):
        self.data, self._most, self._room = b"", most, room

    def writable(self):
        return True

    def write(self, data):
        length = min(len(data), self._most, self._room - len(self.data))
        self.data += bytes(data[:length])
        return length if length or self._most else None


def test_a_file_below_that_takes_less_gets_the_rest(text):
    below = Narrow(3, 1 << 20)
    with llmzip.LlmzFile(below, "w", level=1) as file:
        file.write(text)
    assert llmzip.decompress(below.data) == text


@pytest.mark.parametrize("below", [Narrow(0, 100), Narrow(3, 100)])
def test_a_file_below_that_takes_no_more_is_an_error(text, below):
    file = llmzip.LlmzFile(below, "w", level=1)
    file.write(text)
    with pytest.raises(OSError):
        file.flush()
    # What is lost stays lost, and nobody is told otherwise.
    with pytest.raises(OSError, match="earlier"):
        file.write(text)
        file.flush()
    file.close()
    assert file.closed


def test_data_may_begin_anywhere_in_a_file(text):
    head = llmzip.compress(b"another frame", 1)
    below = io.BytesIO(head + llmzip.compress(text, 1, frame_size=1000))
    below.seek(len(head))
    with llmzip.LlmzFile(below) as file:
        assert file.seek(10) == 10 and file.read(20) == text[10:30]
        assert file.seek(-5, io.SEEK_END) == len(text) - 5 and file.read() == text[-5:]
        assert file.seek(0) == 0 and file.read() == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_comes_back(tmp_path, encoding):
    path = tmp_path / "text.llmz"
    with llmzip.open(path, "wt", encoding=encoding) as file:
        file.write("h\xe9, \u4f60\n")
    with llmzip.open(path, "at", encoding=encoding.replace("-sig", "")) as file:
        file.write("more\n" if "utf-8" in encoding else "")
    with llmzip.open(path, "rt", encoding=encoding) as file:
        assert file.readline() == "h\xe9, \u4f60\n"


@pytest.mark.parametrize("wrong", [{"encoding": "nope"}, {"newline": "zz"}])
def test_wrong_options_of_text_leave_an_existing_file_alone(path, wrong):
    before = path.read_bytes()
    with pytest.raises((LookupError, ValueError)):
        llmzip.open(path, "wt", **wrong)
    assert path.read_bytes() == before


def test_a_circle_through_the_progress_is_collected(tmp_path):
    class Job:
        def __init__(self, path):
            self.file = llmzip.open(path, "wb", level=1, progress=self.tell)

        def tell(self, *_):
            pass

    path = tmp_path / "text.llmz"
    job = Job(path)
    job.file.write(b"abc")
    job = weakref.ref(job)
    gc.collect()
    assert job() is None and llmzip.decompress(path.read_bytes()) == b"abc"
