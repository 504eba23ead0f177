"""Lossless compression with a language model.

A pretrained language model predicts, and an arithmetic coder writes only what it did not foresee.
The interface follows ``compression.zstd`` of PEP 784::

    import llmzip

    compressed = llmzip.compress(b"It is a truth universally acknowledged")
    assert llmzip.decompress(compressed) == b"It is a truth universally acknowledged"

    with llmzip.open("notes.txt.llmz", "wt") as file:
        file.write("Any text, line by line.\\n")

Keyword arguments have the names of the command's options (``llmzip compress --help``). Sizes are in
bytes. The same bytes come out on every machine, with every number of threads. Work is done outside
the interpreter's lock, and Ctrl-C stops it.

``bits_per_byte``, ``token_costs``, ``scaling`` and ``compare`` measure. Importing the package
registers the suffix ``.llmz`` with fsspec and smart_open, where they are installed.
"""

from ._api import FrameInfo, compress, decompress, get_frame_info
from ._file import Frame, LlmzFile, frames, open
from ._llmzip import (
    DEFAULT_LEVEL,
    LlmzCompressor,
    LlmzDecompressor,
    LlmzDict,
    LlmzError,
    models,
)
from ._measure import TokenCosts, bits_per_byte, compare, scaling, token_costs
from ._register import register as _register

__all__ = [
    "DEFAULT_LEVEL",
    "Frame",
    "FrameInfo",
    "LlmzCompressor",
    "LlmzDecompressor",
    "LlmzDict",
    "LlmzError",
    "LlmzFile",
    "TokenCosts",
    "bits_per_byte",
    "compare",
    "compress",
    "decompress",
    "frames",
    "get_frame_info",
    "models",
    "open",
    "scaling",
    "token_costs",
]

_register()
