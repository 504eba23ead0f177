import io
from collections.abc import Iterable
from os import PathLike
from typing import (
    Any,
    Final,
    Literal,
    TypeAlias,
    Unpack,
    overload,
    type_check_only,
)

from typing_extensions import Buffer

# What is typed where it is defined.
from ._api import FrameInfo
from ._file import Frame
from ._llmzip import (
    DEFAULT_LEVEL,
    LlmzCompressor,
    LlmzDecompressor,
    LlmzDict,
    LlmzError,
    _Compressing,
    _Decompressing,
    _Path,
    _Progress,
    models,
)
from ._measure import TokenCosts

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

_File: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes] | Any

@type_check_only
class _CompressingOrDecompressing(_Compressing, total=False):
    limit: int | None

def compress(
    data: Buffer, level: int | None = None, **options: Unpack[_Compressing]
) -> bytes: ...
def decompress(data: Buffer, **options: Unpack[_Decompressing]) -> bytes: ...

def get_frame_info(frame_buffer: Buffer) -> FrameInfo: ...

def frames(file: _File) -> list[Frame]: ...

class LlmzFile(io.BufferedIOBase):
    FLUSH_BLOCK: Final = 1
    FLUSH_FRAME: Final = 2
    def __init__(
        self,
        file: _File,
        /,
        mode: str = "r",
        *,
        level: int | None = None,
        **options: Unpack[_CompressingOrDecompressing],
    ) -> None: ...
    def write(self, data: Buffer, /) -> int: ...
    def flush(self, mode: int = 1) -> None: ...
    def peek(self, size: int = -1, /) -> bytes: ...
    def readinto(self, buffer: Buffer, /) -> int: ...
    def readinto1(self, buffer: Buffer, /) -> int: ...
    @property
    def name(self) -> Any: ...
    @property
    def mode(self) -> Literal["rb", "wb"]: ...

@overload
def open(
    file: _File,
    /,
    mode: Literal["r", "rb", "w", "wb", "x", "xb", "a", "ab"] = "rb",
    *,
    level: int | None = None,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    **options: Unpack[_CompressingOrDecompressing],
) -> LlmzFile: ...
@overload
def open(
    file: _File,
    /,
    mode: Literal["rt", "wt", "xt", "at"],
    *,
    level: int | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    **options: Unpack[_CompressingOrDecompressing],
) -> io.TextIOWrapper: ...
@overload
def open(
    file: _File,
    /,
    mode: str = "rb",
    *,
    level: int | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    **options: Unpack[_CompressingOrDecompressing],
) -> LlmzFile | io.TextIOWrapper: ...

def bits_per_byte(
    text: str | Buffer,
    model: _Path = "mini",
    *,
    experts: bool = False,
    threads: int = 0,
    progress: _Progress | None = None,
) -> float: ...
def token_costs(
    text: str | Buffer,
    model: _Path = "mini",
    *,
    experts: bool = False,
    threads: int = 0,
    progress: _Progress | None = None,
) -> TokenCosts: ...
def scaling(
    files: _Path | Iterable[_Path],
    models: _Path | Iterable[_Path] | None = None,
    *,
    experts: bool = True,
    threads: int = 0,
    progress: _Progress | None = None,
) -> Any: ...
def compare(
    files: _Path | Iterable[_Path],
    models: _Path | Iterable[_Path] = ("mini",),
    *,
    threads: int = 0,
    progress: _Progress | None = None,
) -> Any: ...
