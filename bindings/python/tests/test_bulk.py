"""``compress`` and ``decompress``: what goes in and comes out, options, errors."""

import array
import ctypes
import mmap
import os
import threading

import llmzip
import numpy
import pytest


@pytest.mark.parametrize("data", [b"", b"a", bytes(range(256)) * 3, os.urandom(3000)])
def test_any_data_comes_back(data):
    for level in (1, 2, 3, 5):
        assert llmzip.decompress(llmzip.compress(data, level)) == data


def test_a_model_makes_text_shorter(sentence):
    assert len(llmzip.compress(sentence)) < len(sentence) / 2
    sizes = [len(llmzip.compress(sentence, model=name)) for name in ("none", "nano", "mini")]
    assert sizes == sorted(sizes, reverse=True)


def test_the_result_does_not_depend_on_threads(text):
    results = {llmzip.compress(text, 3, threads=threads) for threads in (0, 1, 2)}
    assert len(results) == 1


def test_frames_are_decompressed_together(text):
    compressed = llmzip.compress(text, 1, frame_size=1000)
    assert llmzip.decompress(compressed) == text
    assert llmzip.decompress(compressed + llmzip.compress(b"more", 1)) == text + b"more"


@pytest.mark.parametrize(
    "data",
    [
        bytearray(b"abcdefgh" * 20),
        memoryview(b"abcdefgh" * 20)[3:90],
        array.array("d", [1.5, -2.25, 1e300]),
        numpy.arange(50, dtype=">i4").reshape(5, 10),
        numpy.zeros((0, 3)),
    ],
)
def test_any_object_with_bytes_is_taken(data):
    original = memoryview(data).tobytes()
    compressed = llmzip.compress(data, 2)
    assert llmzip.decompress(compressed) == original
    assert llmzip.decompress(bytearray(compressed)) == original
    assert llmzip.decompress(numpy.frombuffer(compressed, dtype="u1")) == original


def test_a_mapped_file_is_taken(tmp_path, text):
    path = tmp_path / "text"
    path.write_bytes(text)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert llmzip.decompress(llmzip.compress(mapped, 1)) == text


def test_bytes_with_gaps_are_a_buffer_error():
    for gaps in (memoryview(bytes(100))[::2], numpy.zeros((4, 4))[:, 1]):
        with pytest.raises(BufferError):
            llmzip.compress(gaps)


@pytest.mark.parametrize("data", ["text", 5, None, ["a"]])
def test_other_types_are_type_errors(data):
    with pytest.raises(TypeError):
        llmzip.compress(data)
    with pytest.raises(TypeError):
        llmzip.decompress(data)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"level": 0}, ValueError),
        ({"level": 10}, ValueError),
        ({"level": "5"}, TypeError),
        ({"streams": 257}, ValueError),
        ({"streams": -1}, ValueError),
        ({"block_size": 0}, ValueError),
        ({"block_size": 1 << 40}, ValueError),
        ({"frame_size": 1 << 40}, ValueError),
        ({"threads": "two"}, TypeError),
        ({"experts": "on"}, TypeError),
        ({"level": 1, "experts": False}, ValueError),
        ({"model": 3}, TypeError),
        ({"model": "no-such-model"}, llmzip.LlmzError),
        ({"model": "./no-such-file"}, llmzip.LlmzError),
        ({"prime": b"bytes"}, TypeError),
        ({"progress": 3}, TypeError),
        ({"colour": 3}, TypeError),
    ],
)
def test_wrong_options_are_refused(options, error):
    with pytest.raises(error):
        llmzip.compress(b"text", **options)


def test_wrong_input_is_one_sentence(sentence):
    compressed = llmzip.compress(sentence)
    flipped = bytearray(compressed)
    flipped[-10] ^= 1
    for wrong in (b"", b"no llmzip data", compressed[:-1], bytes(flipped), compressed + b"x"):
        with pytest.raises(llmzip.LlmzError) as raised:
            llmzip.decompress(wrong)
        assert str(raised.value) and "\n" not in str(raised.value)


def test_no_damage_raises_anything_else(sentence):
    compressed = llmzip.compress(sentence, 3)
    for place in range(len(compressed)):
        damaged = bytearray(compressed)
        damaged[place] ^= 0x55
        with pytest.raises(llmzip.LlmzError):
            llmzip.decompress(damaged)


def test_a_limit_bounds_the_original():
    compressed = llmzip.compress(bytes(100_000), 1)
    assert len(llmzip.decompress(compressed, limit=100_000)) == 100_000
    with pytest.raises(llmzip.LlmzError, match="limit"):
        llmzip.decompress(compressed, limit=99_999)


def test_a_prime_is_needed_again(text):
    prime = llmzip.LlmzDict(text)
    compressed = llmzip.compress(text, 2, prime=prime)
    assert len(compressed) < len(text) / 20
    assert llmzip.decompress(compressed, prime=prime) == text
    other = llmzip.LlmzDict(b"another")
    assert llmzip.decompress(compressed, prime=(other, prime)) == text
    assert llmzip.get_frame_info(compressed).dictionary_id == prime.dict_id
    assert (len(prime), prime.dict_content) == (len(text), text)
    for wrong in ({}, {"prime": other}):
        with pytest.raises(llmzip.LlmzError, match="prime"):
            llmzip.decompress(compressed, **wrong)
    with pytest.raises(ValueError):
        llmzip.LlmzDict(b"")


def test_a_frame_tells_of_itself(sentence):
    compressed = llmzip.compress(sentence)
    info = llmzip.get_frame_info(compressed)
    assert info.decompressed_size == len(sentence)
    assert info.compressed_size == len(compressed)
    assert (info.model, info.blocks, info.check) == ("mini", 1, True)
    assert info.dictionary_id is None and not info.independent_blocks
    begun = llmzip.get_frame_info(compressed[:-5])
    assert (begun.model, begun.decompressed_size, begun.compressed_size) == ("mini", None, None)
    assert llmzip.get_frame_info(llmzip.compress(b"", 1)).decompressed_size == 0
    for wrong in (b"", compressed[:6], b"no llmzip data"):
        with pytest.raises(llmzip.LlmzError):
            llmzip.get_frame_info(wrong)


def test_progress_is_told_and_may_stop(text):
    told = []
    compressed = llmzip.compress(text, 3, progress=lambda *at: told.append(at))
    assert told[-1] == (len(text), len(compressed)) and told == sorted(told)
    told.clear()
    llmzip.decompress(compressed, progress=lambda *at: told.append(at))
    assert told[-1] == (len(text), len(compressed))

    def stop(*_):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        llmzip.compress(text * 20, 5, progress=stop)
    with pytest.raises(LookupError, match="enough"):
        llmzip.decompress(llmzip.compress(text * 4, 3), progress=stop)


def test_threads_work_at_the_same_time(text):
    parts = [text[i * 700 :][:700] for i in range(8)]
    results = [None] * len(parts)

    def work(i):
        compressed = llmzip.compress(parts[i], 3 + i % 3)
        results[i] = llmzip.decompress(compressed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == parts


def test_other_threads_run_meanwhile(text):
    counted = 0
    is_done = False

    def count():
        nonlocal counted
        while not is_done:
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    llmzip.compress(text * 2, 3)
    is_done = True
    thread.join()
    assert counted > 1000


def test_models_are_named():
    assert llmzip.models() == ["nano", "micro", "mini", "small"]


def test_single_numbers_have_bytes():
    for number in (ctypes.c_int(5), numpy.array(5)):
        assert llmzip.decompress(llmzip.compress(number, 1)) == memoryview(number).tobytes()


def test_numbers_out_of_range_are_said_to_be_so():
    for name in ("threads", "streams", "block_size", "frame_size"):
        with pytest.raises(ValueError, match=f"{name} is out of range"):
            llmzip.compress(b"a", 1, **{name: 2**63})
