"""A codec for chunks of Zarr 3: ``zarr.create_array(..., compressors=llmzip.zarr.LlmzCodec())``.

It is an entry point of the package, so Zarr finds it when it opens an array. For arrays of the
format 2, Zarr takes the codec of ``llmzip.numcodecs``.
"""

import asyncio
from dataclasses import dataclass

from zarr.abc.codec import BytesBytesCodec

from . import _llmzip


@dataclass(frozen=True)
class LlmzCodec(BytesBytesCodec):
    """Compresses chunks with a language model or, at levels 1 and 2, with the experts alone.

    ``level``: 1 to 9, by default 2: most chunks are numbers, and a language model knows texts.
    ``model``: the name of another model than the level's.
    """

    level: int = 2
    model: str | None = None

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data):
        """The codec that ``to_dict`` describes."""
        return cls(**data.get("configuration", {}))

    def to_dict(self):
        """What the metadata of an array says of the codec."""
        configuration = {"level": self.level}
        if self.model is not None:
            configuration["model"] = self.model
        return {"name": "llmzip", "configuration": configuration}

    def compute_encoded_size(self, _input_byte_length, _chunk_spec):
        """Nobody knows before."""
        raise NotImplementedError

    async def _encode_single(self, chunk_bytes, chunk_spec):
        return await _run(self._encode, chunk_bytes, chunk_spec)

    async def _decode_single(self, chunk_bytes, chunk_spec):
        return await _run(_llmzip.decompress, chunk_bytes, chunk_spec)

    def _encode(self, data):
        return _llmzip.compress(data, self.level, model=self.model)


async def _run(work, chunk_bytes, chunk_spec):
    result = await asyncio.to_thread(work, chunk_bytes.to_bytes())
    return chunk_spec.prototype.buffer.from_bytes(result)
