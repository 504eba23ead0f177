"""Data sets of Ray."""

import llmzip
import llmzip.ray
import pytest
import ray.data

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_a_folder_as_a_data_set(folder, death):
    kill_once, note = death
    files = ray.data.read_binary_files(str(folder), include_paths=True)
    compressed = llmzip.ray.compress_dataset(files, level=1, progress=kill_once).materialize()
    assert note.exists()
    back = llmzip.ray.decompress(compressed)
    wanted = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    rows = compressed.take_all()
    assert {row["path"]: row["bytes"] for row in rows} == {
        str(path): llmzip.compress(original, 1) for path, original in wanted.items()
    }
    rows = back.take_all()
    assert {row["path"]: row["bytes"] for row in rows} == {
        str(path): original for path, original in wanted.items()
    }


def test_texts_come_back_as_texts():
    texts = ["", "a line", "Zoë"]
    rows = ray.data.from_items([{"text": text} for text in texts])
    back = llmzip.ray.decompress(
        llmzip.ray.compress_dataset(rows, "text", 1), "text", text=True
    )
    assert sorted(row["text"] for row in back.take_all()) == sorted(texts)


@pytest.fixture
def path(tmp_path, text):
    path = tmp_path / "text.llmz"
    path.write_bytes(llmzip.compress(text, 1, frame_size=5000))
    return path


def test_frames_are_read_by_several_tasks(path, text):
    data = llmzip.ray.read_llmz(path, override_num_blocks=3).materialize()
    assert data.num_blocks() >= 3
    rows = sorted(data.take_all(), key=lambda row: row["offset"])
    assert b"".join(row["bytes"] for row in rows) == text
    assert [row["offset"] for row in rows] == [
        frame.original_offset for frame in llmzip.frames(path)
    ]
    assert {row["path"] for row in rows} == {str(path)}


def test_lines_are_read(path, text, tmp_path):
    other = tmp_path / "other.llmz"
    other.write_bytes(llmzip.compress(b"first\n\nlast", 1))
    data = llmzip.ray.read_llmz([path, other], lines=True, override_num_blocks=4)
    wanted = text.decode().splitlines() + ["first", "", "last"]
    assert sorted(row["text"] for row in data.take_all()) == sorted(wanted)


def test_a_line_in_two_tasks_is_refused(tmp_path):
    path = tmp_path / "text.llmz"
    path.write_bytes(llmzip.compress(b"x" * 5000 + b"\nlast\n", 1, frame_size=2000))
    with pytest.raises(Exception, match="split=False"):
        llmzip.ray.read_llmz(path, lines=True, override_num_blocks=2).take_all()
    rows = llmzip.ray.read_llmz(path, lines=True, split=False).take_all()
    assert [row["text"] for row in rows] == ["x" * 5000, "last"]
