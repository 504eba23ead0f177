"""Files that workers of Ray and Spark compress are those of the command line."""

import os
import stat
import subprocess
import sys

import llmzip
import pytest

FRAME_SIZE = 9000


def command(*words):
    subprocess.run([sys.executable, "-m", "llmzip", *map(str, words)], check=True)


@pytest.fixture
def path(tmp_path, text):
    """A file of five frames."""
    path = tmp_path / "text.txt"
    path.write_bytes(text)
    return path


@pytest.fixture
def wanted(tmp_path, path):
    """What the command line makes of it with the model ``nano``."""
    wanted = tmp_path / "wanted.llmz"
    command("compress", "-q", "-3", "--frame-size", FRAME_SIZE, "-o", wanted, path)
    assert len(llmzip.frames(wanted)) == 5
    return wanted.read_bytes()


def test_a_file_becomes_that_of_the_command_line(engine, tmp_path, path, wanted, text):
    path.chmod(0o640)
    output = engine.compress_file(path, frame_size=FRAME_SIZE, level=3)
    assert output == f"{path}.llmz"
    with open(output, "rb") as file:
        assert file.read() == wanted
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o640
    back = tmp_path / "back"
    assert engine.decompress_file(output, back) == str(back)
    assert back.read_bytes() == path.read_bytes() == text
    assert not list(tmp_path.glob(".llmzip*"))


def test_a_worker_that_is_killed_changes_nothing(engine, tmp_path, path, wanted, text, death):
    kill_once, note = death
    output = tmp_path / "output.llmz"
    engine.compress_file(path, output, FRAME_SIZE, 3, progress=kill_once)
    assert output.read_bytes() == wanted
    killed, done = map(int, note.read_text().split())
    assert killed != os.getpid() and done <= FRAME_SIZE * 9 / 8
    note.unlink()
    back = tmp_path / "back"
    engine.decompress_file(output, back, progress=kill_once)
    assert back.read_bytes() == text and note.exists()


def test_a_folder_goes_and_comes_back(engine, tmp_path, folder, death):
    kill_once, note = death
    compressed, back = tmp_path / "compressed", tmp_path / "back"
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    outputs = engine.compress_files(folder, compressed, 3, progress=kill_once)
    assert note.exists()
    assert outputs == [f"{compressed / file}.llmz" for file in files]
    for file in files:
        wanted = llmzip.compress((folder / file).read_bytes(), 3)
        assert (compressed / f"{file}.llmz").read_bytes() == wanted
    assert engine.decompress_files(compressed, back) == [str(back / file) for file in files]
    for file in files:
        assert (back / file).read_bytes() == (folder / file).read_bytes()
    for made in (compressed, back):
        assert len([path for path in made.rglob("*") if path.is_file()]) == len(files)
        assert not list(made.glob(".llmzip*"))


def test_what_exists_stays_unless_it_may_be_overwritten(engine, tmp_path, path, folder):
    output = tmp_path / "output.llmz"
    output.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        engine.compress_file(path, output, level=1)
    (tmp_path / "first.txt.llmz").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        engine.compress_files(folder, tmp_path, 1)
    with pytest.raises(ValueError, match="two files"):
        engine.compress_files([path, path], tmp_path / "new", 1)
    assert output.read_bytes() == b"mine" and not (tmp_path / "below").exists()
    engine.compress_file(path, output, level=1, overwrite=True)
    assert llmzip.decompress(output.read_bytes()) == path.read_bytes()


def test_what_fails_leaves_nothing(engine, tmp_path, path):
    output, damaged = tmp_path / "output", tmp_path / "damaged.llmz"
    bytes_of_damaged = bytearray(llmzip.compress(path.read_bytes(), 1, frame_size=FRAME_SIZE))
    bytes_of_damaged[-100] ^= 1
    damaged.write_bytes(bytes_of_damaged)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Exception, match="checksum|damaged|seal"):
        engine.decompress_file(damaged, output)
    with pytest.raises(Exception, match="nobody"):
        engine.compress_file(path, output, model="nobody")
    with pytest.raises(ValueError, match="frame_size"):
        engine.compress_file(path, output, 0)
    assert sorted(tmp_path.iterdir()) == before
