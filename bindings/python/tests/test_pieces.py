"""``LlmzCompressor`` and ``LlmzDecompressor``: data in pieces, as in PEP 784."""

import random
import threading

import llmzip
import pytest
from conftest import cut
from llmzip import LlmzCompressor, LlmzDecompressor


def in_pieces(data, chance, longest, **options):
    """``data`` compressed in random pieces, with random flushes."""
    compressor = LlmzCompressor(1, block_size=700, **options)
    compressed = b""
    for piece in cut(data, chance, longest):
        mode = chance.choice([LlmzCompressor.CONTINUE] * 20 + [LlmzCompressor.FLUSH_BLOCK])
        compressed += compressor.compress(piece, mode)
    return compressed + compressor.flush()


def out_of_pieces(data, chance, longest, most):
    """The original of ``data``, which is fed and taken in random pieces."""
    original, frames, waiting = b"", 0, b""
    pieces = cut(data, chance, longest)
    decompressor = LlmzDecompressor()
    while True:
        if decompressor.eof:
            frames += 1
            waiting = decompressor.unused_data
            decompressor = LlmzDecompressor()
        if not waiting and decompressor.needs_input:
            waiting = next(pieces, None)
            if waiting is None:
                return original, frames
        length = chance.choice([-1, 0, 1, chance.randrange(most)])
        part = decompressor.decompress(waiting or b"", length)
        assert length < 0 or len(part) <= length
        waiting = b""
        original += part


@pytest.mark.parametrize("seed", range(25))
def test_pieces_of_any_length_give_the_original(text, seed):
    chance = random.Random(seed)
    data = text[: chance.randrange(len(text))]
    options = chance.choice([{}, {}, {"frame_size": 1500}])
    compressed = in_pieces(data, chance, chance.choice([10, 300, 5000]), **options)
    assert llmzip.decompress(compressed) == data
    original, frames = out_of_pieces(compressed, chance, chance.choice([3, 100, 5000]), 900)
    assert original == data and frames >= 1


def test_pieces_do_not_change_the_result(text):
    compressor = LlmzCompressor(3)
    pieces = [compressor.compress(piece) for piece in cut(text, random.Random(1), 500)]
    assert b"".join(pieces) + compressor.flush() == llmzip.compress(text, 3)


def test_what_follows_a_frame_is_unused(sentence):
    compressed = llmzip.compress(sentence)
    decompressor = LlmzDecompressor()
    assert not decompressor.eof and decompressor.needs_input
    assert decompressor.decompress(compressed[:-1]) == b""
    assert not decompressor.eof and decompressor.needs_input
    assert decompressor.unused_data == b""
    assert decompressor.decompress(compressed[-1:] + b"more") == sentence
    assert decompressor.eof and not decompressor.needs_input
    assert decompressor.unused_data == b"more"
    with pytest.raises(EOFError):
        decompressor.decompress(b"")


def test_no_more_than_asked_for_is_returned(text):
    decompressor = LlmzDecompressor()
    original = decompressor.decompress(llmzip.compress(text, 1), 100)
    assert original == text[:100]
    assert not decompressor.needs_input and not decompressor.eof
    while not decompressor.eof:
        part = decompressor.decompress(b"", max_length=1000)
        assert len(part) <= 1000
        original += part
    assert original == text


def test_a_flush_makes_everything_readable(text):
    compressor = LlmzCompressor(1)
    assert compressor.last_mode == LlmzCompressor.FLUSH_FRAME
    first = compressor.compress(text[:1000])
    assert compressor.last_mode == LlmzCompressor.CONTINUE
    first += compressor.flush(LlmzCompressor.FLUSH_BLOCK)
    assert compressor.last_mode == LlmzCompressor.FLUSH_BLOCK
    assert llmzip.decompress(first) == text[:1000]
    rest = compressor.compress(text[1000:], mode=LlmzCompressor.FLUSH_FRAME)
    assert llmzip.decompress(first + rest) == text
    assert compressor.flush() == b""


def test_nothing_is_an_empty_frame():
    compressed = LlmzCompressor().flush()
    assert llmzip.decompress(compressed) == b""
    decompressor = LlmzDecompressor()
    assert decompressor.decompress(compressed) == b"" and decompressor.eof


def test_an_index_is_a_frame_without_data(text):
    rest = llmzip.compress(text, 1, frame_size=3000)
    parts = []
    while rest:
        decompressor = LlmzDecompressor()
        parts.append(decompressor.decompress(rest))
        assert decompressor.eof
        rest = decompressor.unused_data
    assert b"".join(parts) == text and parts[1::2] == [b""] * (len(parts) // 2)


def test_wrong_modes_and_types_are_refused():
    compressor = LlmzCompressor()
    for mode in (-1, 3, 300):
        with pytest.raises((ValueError, OverflowError)):
            compressor.compress(b"", mode)
    for mode in (0, 3):
        with pytest.raises(ValueError):
            compressor.flush(mode)
    with pytest.raises(TypeError):
        compressor.compress("text")
    with pytest.raises(TypeError):
        LlmzDecompressor().decompress("text")
    with pytest.raises(TypeError):
        LlmzDecompressor(level=3)


def test_an_error_ends_the_stream(sentence):
    damaged = bytearray(llmzip.compress(sentence))
    damaged[-3] ^= 1
    decompressor = LlmzDecompressor()
    with pytest.raises(llmzip.LlmzError):
        decompressor.decompress(damaged)
    with pytest.raises(llmzip.LlmzError, match="earlier error"):
        decompressor.decompress(b"")
    with pytest.raises(llmzip.LlmzError):
        LlmzDecompressor().decompress(b"no frame at all")


def test_a_callback_cannot_use_the_object_that_calls_it(text):
    refused = []

    def again(*_):
        with pytest.raises(RuntimeError) as raised:
            compressor.flush()
        refused.append(raised.value)

    compressor = LlmzCompressor(progress=again)
    compressed = compressor.compress(text) + compressor.flush()
    assert refused and llmzip.decompress(compressed) == text


def test_threads_take_turns(text):
    compressor = LlmzCompressor(1, frame_size=1000)
    results = []

    def work():
        for _ in range(20):
            results.append(compressor.compress(b"a line\n"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    compressed = b"".join(results) + compressor.flush()
    assert llmzip.decompress(compressed) == b"a line\n" * 80
