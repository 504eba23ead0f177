"""What several tests need."""

import os
import random

import pytest

SENTENCE = (
    b"It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    b"must be in want of a wife. "
)


@pytest.fixture(scope="session", autouse=True)
def _nothing_but_built_in_models(tmp_path_factory):
    """No test depends on the models that somebody has installed."""
    os.environ["LLMZIP_HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def text():
    """About 6 KB of prose-like text that hardly repeats itself, made from a fixed seed."""
    chance = random.Random(1)
    words = SENTENCE.decode().replace(",", "").replace(".", "").split()
    words += "however little known the feelings or views of such a man may be on his first".split()
    lines = (" ".join(chance.choices(words, k=12)) + ".\n" for _ in range(80))
    return "".join(lines).encode()


@pytest.fixture
def sentence():
    """A sentence of 121 bytes."""
    return SENTENCE


def cut(data, chance, longest):
    """``data`` in pieces of random lengths, some of them empty."""
    start = 0
    while start < len(data):
        length = chance.randrange(longest + 1)
        yield data[start : start + length]
        start += length
