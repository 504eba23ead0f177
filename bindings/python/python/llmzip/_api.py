"""Compression of whole buffers, and what frames tell of themselves."""

from typing import NamedTuple

from . import _llmzip


def compress(data, level=None, **options):
    """Compress ``data`` and return it as ``bytes``.

    ``data`` is any object with bytes: ``bytes``, ``bytearray``, ``memoryview``, ``array``,
    ``mmap``, an array of NumPy. A view whose bytes do not lie one behind the other is a
    ``BufferError``.

    ``level``: 1 to 9, by default 5. 1 and 2 use no language model, 3 to 6 the built-in models
    ``nano``, ``micro``, ``mini`` and ``small``; 7 to 9 use models that ``llmzip model pull``
    fetches.

    Options:

    * ``model``: name of an installed model (``llmzip.models()``), path of a packed one, or
      ``"none"``; by default that of the level.
    * ``prime``: an ``LlmzDict`` after which the data is compressed.
    * ``threads``: 0, the default, is one for each processor.
    * ``streams``: 1 to 256 in a block; more make decompression faster and the result longer.
    * ``block_size``: 1 byte to 16 MiB, by default 1 MiB.
    * ``frame_size``: 1 byte to 1 GiB; frames can be decompressed by themselves and are coded at
      the same time. By default all data is one frame.
    * ``experts``: ``False`` leaves the model alone, for measurements.
    * ``check``: ``False`` stores no checksums of the original.
    * ``independent_blocks``: ``True`` makes each block readable without those before it.
    * ``progress``: called up to 20 times a second with the bytes taken and the compressed bytes
      made so far. What it raises stops the work.

    Raises ``LlmzError`` if a model cannot be used, ``ValueError`` for options out of range.
    """
    return _llmzip.compress(data, level, **options)


def decompress(data, **options):
    """Decompress ``data``, one or more frames, and return the original as ``bytes``.

    Options:

    * ``prime``: the ``LlmzDict`` that the data was compressed after, or a tuple of several.
    * ``threads``: 0, the default, is one for each processor.
    * ``limit``: the most original bytes; longer data is an ``LlmzError``. Without it, a few
      hostile bytes can become terabytes.
    * ``progress``: called up to 20 times a second with the original bytes made and the compressed
      bytes read so far. What it raises stops the work.

    Raises ``LlmzError`` if the data is damaged or incomplete, or its model or prime is missing.
    """
    return _llmzip.decompress(data, **options)


class FrameInfo(NamedTuple):
    """What a frame tells of itself. Sizes are in bytes."""

    #: Original bytes; ``None`` if the frame is not there to its end.
    decompressed_size: int | None
    #: ``LlmzDict.dict_id`` of the prime that it needs, or ``None``.
    dictionary_id: str | None
    #: Bytes of the frame; ``None`` if it is not there to its end.
    compressed_size: int | None
    #: Blocks; ``None`` if the frame is not there to its end.
    blocks: int | None
    #: The first 8 bytes of the BLAKE3 of the model in hexadecimal digits; ``None`` without a model.
    model_id: str | None
    #: The name of the model, if it is known.
    model: str | None
    #: Whether there are checksums of the original.
    check: bool
    #: Whether each block can be read by itself.
    independent_blocks: bool


def get_frame_info(frame_buffer):
    """Return the ``FrameInfo`` of the frame that ``frame_buffer`` begins with.

    No model is needed, and nothing is decompressed or verified. The header suffices; the sizes are
    known if the whole frame is there.
    """
    return FrameInfo(**_llmzip.frame_info(frame_buffer))
