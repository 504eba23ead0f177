"""What a language model knows of a text: its cross-entropy, as the coder would spend it.

The models are those that llmzip compresses with: 8-bit weights, exact integer arithmetic. So are
the numbers. The same model in floating point differs by a fraction of a percent, as a rule.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

from . import _llmzip


class TokenCosts(NamedTuple):
    """A text, token by token. Arrays of NumPy if it is installed, lists if not; shape (tokens,)."""

    #: The bytes of each token: a list.
    tokens: list[bytes]
    #: The cost of each token in bits: float32.
    bits: Any
    #: Where each token begins in the text, in bytes: int64.
    offsets: Any


def bits_per_byte(text, model="mini", *, experts=False, threads=0, progress=None):
    """Return the cross-entropy of ``text`` under ``model``, in bits for each byte.

    ``text`` is a ``str``, which counts as UTF-8, or any object with bytes; an empty one is a
    ``ValueError``. ``model`` is the name of an installed model or the path of a packed one.

    It is the *int8* model that is measured, the one that llmzip compresses with, and the text is
    coded in one stream. ``experts=True`` adds the adaptive predictors that learn the text while it
    is coded; the result is then what ``llmzip compress`` comes within a few bytes of.
    """
    data = _bytes(text)
    size = memoryview(data).nbytes
    if size == 0:
        raise ValueError("an empty text has no bits per byte")
    _, _, total = _llmzip.token_costs(data, _path(model), experts, threads, progress)
    return total / size


def token_costs(text, model="mini", *, experts=False, threads=0, progress=None):
    """Return the ``TokenCosts`` of ``text`` under ``model``: what each token costs, and where it is.

    The arguments are those of ``bits_per_byte``, and the costs add up to its result times the
    bytes. A byte that the model does not code, because no token covers it or because the text is
    hardly text there, is a token by itself.
    """
    data = memoryview(_bytes(text)).tobytes()
    lengths, bits, _ = _llmzip.token_costs(data, _path(model), experts, threads, progress)
    lengths = memoryview(lengths).cast("I").tolist()
    offsets, tokens, start = [], [], 0
    for length in lengths:
        offsets.append(start)
        tokens.append(data[start : start + length])
        start += length
    try:
        import numpy
    except ImportError:
        return TokenCosts(tokens, memoryview(bits).cast("f").tolist(), offsets)
    return TokenCosts(
        tokens,
        numpy.frombuffer(bits, dtype=numpy.float32).copy(),
        numpy.array(offsets, dtype=numpy.int64),
    )


def scaling(files, models=None, *, experts=True, threads=0, progress=None):
    """Measure how the size of ``files`` depends on the size of the model.

    ``files`` is a path or several. ``models`` are names, or one; by default all that are installed.
    The experts alone (``none``) come before them. ``experts=False`` measures each model by itself.
    The models are the int8 ones that llmzip compresses with.

    Returns a data frame of pandas, or of polars, or a list of dictionaries, whichever of the two is
    installed first. It has a row for each file and model, with ``file``, ``class``, ``model``,
    ``parameters``, and in bytes ``model_bytes``, ``original``, ``compressed`` and ``adjusted`` (the
    last includes the model), and ``bits_per_byte`` and ``cross_entropy_per_byte``.

    ``progress`` is called with the bytes done of the present file and its length.
    """
    names = _llmzip.models() if models is None else _paths(models)
    return _frame(_llmzip.scaling(_read(files), names, experts, threads, progress))


def compare(files, models=("mini",), *, threads=0, progress=None):
    """Compare llmzip with gzip, bzip2, xz, zstd and brotli on ``files``.

    ``files`` is a path or several; ``models`` are names, or one, and the experts alone (``none``)
    come before them. Each result is verified by decompression. Everything runs in this process, so
    memory is not measured: ``llmzip compare`` does.

    Returns what ``scaling`` returns: a row for each file and compressor, with ``file``,
    ``compressor``, and in bytes ``model_bytes``, ``original`` and ``compressed``, ``ratio``,
    ``bits_per_byte``, and the medians ``compress_seconds`` and ``decompress_seconds``.

    ``progress`` is called with the bytes done of the present file and its length.
    """
    names = _paths(models)
    return _frame(_llmzip.compare(_read(files), names, threads, progress))


def _bytes(text):
    return text.encode() if isinstance(text, str) else text


def _path(model):
    return os.fspath(model)


def _paths(several):
    """One or several, as strings."""
    if isinstance(several, (str, bytes, os.PathLike)):
        several = [several]
    return [os.fsdecode(one) for one in several]


def _read(files):
    return [(file, Path(file).read_bytes()) for file in _paths(files)]


def _frame(rows):
    """Rows as a data frame, if there is a package for it."""
    try:
        import pandas
    except ImportError:
        pass
    else:
        return pandas.DataFrame(rows)
    try:
        import polars
    except ImportError:
        return rows
    return polars.DataFrame(rows)
