"""A codec for numcodecs, and through it for Zarr: ``numcodecs.get_codec({"id": "llmzip"})``.

It is an entry point of the package, so numcodecs finds it without an import.
"""

from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy

from . import _llmzip


class Llmzip(Codec):
    """Compresses chunks with a language model or, at levels 1 and 2, with the experts alone.

    ``level``: 1 to 9, by default 2: most chunks are numbers, and a language model knows texts. The
    other arguments are those of ``llmzip.compress``.
    """

    codec_id = "llmzip"

    def __init__(self, level=2, model=None, streams=None, threads=0):
        self.level = level
        self.model = model
        self.streams = streams
        self.threads = threads

    def encode(self, buf):
        """Compress the bytes of ``buf``, which lie one behind the other."""
        return _llmzip.compress(
            _contiguous(buf),
            self.level,
            model=self.model,
            streams=self.streams,
            threads=self.threads,
        )

    def decode(self, buf, out=None):
        """Decompress ``buf``; into ``out``, if it is given."""
        return ndarray_copy(_llmzip.decompress(_contiguous(buf), threads=self.threads), out)

    def get_config(self):
        """The arguments that make the same codec; those that only cost time are left out."""
        config = {"id": self.codec_id, "level": self.level}
        if self.model is not None:
            config["model"] = self.model
        if self.streams is not None:
            config["streams"] = self.streams
        return config

    def __repr__(self):
        return f"Llmzip(level={self.level!r}, model={self.model!r}, streams={self.streams!r})"


def _contiguous(buf):
    return ensure_contiguous_ndarray(buf).view("u1")
