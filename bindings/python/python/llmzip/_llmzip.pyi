from collections.abc import Callable
from os import PathLike
from typing import Any, Final, NoReturn, TypeAlias, TypedDict, Unpack, final, type_check_only

from typing_extensions import Buffer

_Path: TypeAlias = str | PathLike[str]
# Called with the bytes done and the bytes made, or the bytes done and all bytes.
_Progress: TypeAlias = Callable[[int, int], object]

__all__ = [
    "DEFAULT_LEVEL",
    "LlmzCompressor",
    "LlmzDecompressor",
    "LlmzDict",
    "LlmzError",
    "Reader",
    "compare",
    "compress",
    "decompress",
    "frame_info",
    "frames",
    "models",
    "note_standard_streams",
    "run_program",
    "scaling",
    "token_costs",
]

DEFAULT_LEVEL: Final = 5

@type_check_only
class _Compressing(TypedDict, total=False):
    model: _Path | None
    prime: LlmzDict | None
    threads: int | None
    streams: int | None
    block_size: int | None
    frame_size: int | None
    experts: bool | None
    check: bool | None
    independent_blocks: bool | None
    progress: _Progress | None

@type_check_only
class _Decompressing(TypedDict, total=False):
    prime: LlmzDict | tuple[LlmzDict, ...] | None
    threads: int | None
    limit: int | None
    progress: _Progress | None

class LlmzError(Exception): ...

@final
class LlmzDict:
    def __new__(cls, dict_content: Buffer) -> LlmzDict: ...
    @property
    def dict_content(self) -> bytes: ...
    @property
    def dict_id(self) -> str: ...
    def __len__(self) -> int: ...
    def __getnewargs__(self) -> tuple[bytes]: ...

@final
class LlmzCompressor:
    CONTINUE: Final = 0
    FLUSH_BLOCK: Final = 1
    FLUSH_FRAME: Final = 2
    def __new__(
        cls, level: int | None = None, **options: Unpack[_Compressing]
    ) -> LlmzCompressor: ...
    def compress(self, data: Buffer, mode: int = 0) -> bytes: ...
    def flush(self, mode: int = 2) -> bytes: ...
    @property
    def last_mode(self) -> int: ...

@final
class LlmzDecompressor:
    def __new__(cls, **options: Unpack[_Decompressing]) -> LlmzDecompressor: ...
    def decompress(self, data: Buffer, max_length: int = -1) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

@final
class Reader:
    def __new__(cls, file: Any, **options: Unpack[_Decompressing]) -> Reader: ...
    def read(self, size: int) -> bytes: ...
    def seek(self, offset: int) -> None: ...
    def tell(self) -> int: ...
    def size(self) -> int: ...

def compress(
    data: Buffer, level: int | None = None, **options: Unpack[_Compressing]
) -> bytes: ...
def decompress(data: Buffer, **options: Unpack[_Decompressing]) -> bytes: ...
def frame_info(frame_buffer: Buffer) -> dict[str, Any]: ...
def frames(file: Any) -> list[tuple[int, int, int]]: ...
def models() -> list[str]: ...
def token_costs(
    text: Buffer, model: str, experts: bool, threads: int, progress: _Progress | None
) -> tuple[bytes, bytes, float]: ...
def scaling(
    files: list[tuple[str, bytes]],
    models: list[str],
    experts: bool,
    threads: int,
    progress: _Progress | None,
) -> list[dict[str, Any]]: ...
def compare(
    files: list[tuple[str, bytes]], models: list[str], threads: int, progress: _Progress | None
) -> list[dict[str, Any]]: ...
def note_standard_streams() -> None: ...
def run_program(words: list[str], program: list[str]) -> NoReturn: ...
