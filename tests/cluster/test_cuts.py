"""Whoever compresses the frames, in whatever order, the file is that of one machine."""

import os
import random

import llmzip
import pytest
from llmzip import _cluster


def shuffled(function, jobs):
    """Runs the jobs in a random order, some of them twice."""
    jobs = list(enumerate(jobs))
    chance = random.Random(5)
    again = chance.sample(jobs, len(jobs) // 2)
    order = jobs + again
    chance.shuffle(order)
    results = {number: function(job) for number, job in order}
    return [results[number] for number, _ in jobs]


def originals():
    chance = random.Random(4)
    for size in (0, 1, 7, 8, 79, 80, 81, 89, 90, 91, 160, 163, 800):
        for line_feeds in (0, 0.02, 0.3, 1):
            feeds = [chance.random() < line_feeds for _ in range(size)]
            yield bytes(10 if feed else 97 + at % 20 for at, feed in enumerate(feeds))
    # A line that ends with the file, behind the place of a cut.
    yield b"a" * 83 + b"\n"


def test_cuts_are_those_of_one_machine(tmp_path):
    path, output = tmp_path / "file", tmp_path / "output"
    for original in originals():
        path.write_bytes(original)
        for frame_size in (1, 7, 8, 16, 80, 1000):
            if len(original) > 200 * frame_size:
                continue
            _cluster.compress_file(shuffled, path, output, frame_size, 1, True, {})
            assert output.read_bytes() == llmzip.compress(original, 1, frame_size=frame_size)
            _cluster.decompress_file(shuffled, output, tmp_path / "back", True, {})
            assert (tmp_path / "back").read_bytes() == original


def test_a_long_search_for_a_line(tmp_path):
    path, output = tmp_path / "file", tmp_path / "output"
    frame_size = 600_000
    for feed in (frame_size + 70_000, frame_size * 9 // 8 - 1, frame_size * 9 // 8):
        original = bytearray(frame_size * 9 // 8 + 9)
        original[feed] = 10
        path.write_bytes(original)
        _cluster.compress_file(shuffled, path, output, frame_size, 1, True, {})
        assert output.read_bytes() == llmzip.compress(original, 1, frame_size=frame_size)


def test_options_go_along(tmp_path, text):
    path, output = tmp_path / "file", tmp_path / "output"
    path.write_bytes(text[:3000])
    prime = llmzip.LlmzDict(text[3000:5000])
    options = {"model": "nano", "prime": prime, "check": False, "block_size": 500, "threads": 1}
    _cluster.compress_file(shuffled, path, output, 1000, None, True, options)
    assert output.read_bytes() == llmzip.compress(text[:3000], frame_size=1000, **options)


def test_a_file_that_changes_is_refused(tmp_path, text):
    path, output = tmp_path / "file", tmp_path / "output"
    path.write_bytes(text)

    def changing(function, jobs):
        for job in jobs:
            yield function(job)
            os.utime(path, ns=(0, 0))

    with pytest.raises(llmzip.LlmzError, match="changed"):
        _cluster.compress_file(changing, path, output, 10_000, 1, False, {})
    assert not output.exists() and list(tmp_path.iterdir()) == [path]
