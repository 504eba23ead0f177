"""Other processes: children by fork and spawn, signals, memory over many calls."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import llmzip
import pytest


def round_trip(data):
    compressed = llmzip.compress(data, 3)
    return compressed, llmzip.decompress(compressed) == data


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_a_pool_compress(text, method):
    parts = [text[i * 500 :][:500] for i in range(4)]
    expected = [round_trip(part) for part in parts]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(round_trip, parts).get(60) == expected


def in_child(work):
    """Whether ``work`` returns something true in a forked child within a minute."""
    child = os.fork()
    if child == 0:
        is_right = False
        try:
            is_right = bool(work())
        finally:
            os._exit(0 if is_right else 1)
    for _ in range(6000):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def test_a_child_works_while_its_parent_does(text):
    prime = llmzip.LlmzDict(text)
    options = {"prime": prime}
    is_done = False

    def keep_busy():
        while not is_done:
            llmzip.decompress(llmzip.compress(text[:1500], 3, **options), **options)

    thread = threading.Thread(target=keep_busy)
    thread.start()
    try:
        for _ in range(6):
            assert in_child(
                lambda: llmzip.decompress(llmzip.compress(text[:1500], 3, **options), **options)
                == text[:1500]
            )
    finally:
        is_done = True
        thread.join()


def test_what_a_parent_began_a_child_can_end(text):
    compressor = llmzip.LlmzCompressor(3, block_size=1000)
    begun = compressor.compress(text[:3000])
    expected = llmzip.compress(text, 3, block_size=1000)
    rest = text[3000:]
    assert in_child(lambda: begun + compressor.compress(rest) + compressor.flush() == expected)
    assert begun + compressor.compress(rest) + compressor.flush() == expected
    decompressor = llmzip.LlmzDecompressor()
    start = decompressor.decompress(expected[:-100])
    assert start
    assert in_child(lambda: start + decompressor.decompress(expected[-100:]) == text)
    assert start + decompressor.decompress(expected[-100:]) == text


def test_grandchildren_work(text):
    assert in_child(lambda: round_trip(text[:300])[1] and in_child(lambda: round_trip(text)[1]))


@pytest.mark.parametrize(
    "work",
    [
        "llmzip.compress(data, 6)",
        "llmzip.decompress(compressed)",
        "llmzip.LlmzCompressor(6).compress(data, 2)",
        "llmzip.open(io.BytesIO(compressed)).read()",
        "llmzip.bits_per_byte(data, 'small')",
    ],
)
def test_an_interrupt_stops_the_work(tmp_path, text, work):
    compressed = tmp_path / "compressed"
    compressed.write_bytes(llmzip.compress(text * 3, 3) * 200)
    script = f"""
        import io, sys, time
        import llmzip
        data = bytes(range(32, 127)) * 4000 + open(sys.argv[1], "rb").read()
        compressed = open(sys.argv[1], "rb").read()
        llmzip.compress(b"ready", 6)
        print("ready", flush=True)
        start = time.monotonic()
        try:
            while True:
                {work}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), compressed],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - start < 2
        assert process.wait(10) == 0


def test_a_signal_handler_may_compress(text):
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(round_trip(text[:100])[1]))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        while not seen:
            assert round_trip(text)[1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen == [True]


def resident():
    """Resident memory of this process in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not tell")
def test_ten_thousand_calls_take_no_more_memory_than_some():
    def calls(count):
        for i in range(count):
            # Each text uses other pages of the tables, so the texts come again.
            data = b"call %d" % (i % 100)
            assert llmzip.decompress(llmzip.compress(data, 1)) == data
            if i % 10 == 0:
                file = llmzip.LlmzDecompressor()
                file.decompress(llmzip.LlmzCompressor(3, progress=print).flush())
                with pytest.raises(llmzip.LlmzError):
                    llmzip.decompress(b"wrong")

    calls(1000)
    before = resident()
    calls(10_000)
    assert resident() - before < 1_000_000


def test_what_a_thread_of_the_parent_uses_is_refused_in_a_child(text):
    is_at_work = threading.Event()
    compressor = llmzip.LlmzCompressor(6, progress=lambda *_: is_at_work.set())
    thread = threading.Thread(target=lambda: compressor.compress(text * 2, 2))
    thread.start()
    is_at_work.wait()

    def refused():
        with pytest.raises(RuntimeError, match="forked"):
            compressor.flush()
        return round_trip(text)[1]

    assert in_child(refused)
    thread.join()
