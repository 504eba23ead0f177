"""Data frames of Spark."""

import llmzip
import llmzip.spark
import pytest


def test_a_folder_as_a_data_frame(spark, folder, death):
    kill_once, note = death
    # Spark reads no empty files.
    (folder / "empty").unlink()
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(folder))
    compressed = llmzip.spark.compress(files, level=1, progress=kill_once).cache()
    wanted = {f"file:{path}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {row.path: row.content for row in compressed.collect()} == {
        path: llmzip.compress(original, 1) for path, original in wanted.items()
    }
    assert note.exists()
    back = llmzip.spark.decompress(compressed)
    assert back.schema == files.schema
    assert {row.path: row.content for row in back.collect()} == wanted


def test_texts_come_back_as_texts(spark):
    texts = ["", "a line", "Zoë", None]
    rows = spark.createDataFrame([(text,) for text in texts], "value string")
    compressed = llmzip.spark.compress(rows, "value", 1)
    assert compressed.schema.simpleString() == "struct<value:binary>"
    back = llmzip.spark.decompress(compressed, "value", text=True)
    assert [row.value for row in back.collect()] == texts


@pytest.fixture
def path(tmp_path, text, monkeypatch):
    path = tmp_path / "text.llmz"
    path.write_bytes(llmzip.compress(text, 1, frame_size=5000))
    # Otherwise all of the file would be for one task.
    monkeypatch.setattr("llmzip._cluster.RUN_SIZE", 8000)
    return path


def test_frames_are_read_by_several_tasks(spark, path, text):
    data = llmzip.spark.read_llmz(spark, path)
    assert data.rdd.getNumPartitions() == 4
    rows = data.orderBy("offset").collect()
    assert b"".join(row.content for row in rows) == text
    assert [row.offset for row in rows] == [frame.original_offset for frame in llmzip.frames(path)]
    assert {row.path for row in rows} == {str(path)}


def test_lines_are_read(spark, path, text, tmp_path):
    other = tmp_path / "other.llmz"
    other.write_bytes(llmzip.compress(b"first\n\nlast", 1))
    data = llmzip.spark.read_llmz(spark, [path, other], lines=True)
    wanted = text.decode().splitlines() + ["first", "", "last"]
    assert [row.value for row in data.collect()] == wanted


def test_a_line_in_two_tasks_is_refused(spark, path):
    path.write_bytes(llmzip.compress(b"x" * 20000 + b"\nlast\n", 1, frame_size=8000))
    with pytest.raises(Exception, match="split=False"):
        llmzip.spark.read_llmz(spark, path, lines=True).collect()
    rows = llmzip.spark.read_llmz(spark, path, lines=True, split=False).collect()
    assert [row.value for row in rows] == ["x" * 20000, "last"]
