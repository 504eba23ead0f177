"""The container: docs/FORMAT.md, "Conventions" to "Auxiliary frame".

`parse` reads a whole file and verifies everything that needs no payload decoded.
"""

from dataclasses import dataclass
from string import ascii_letters, digits
import xxhash

RAW, EXPERTS, MODEL = 0, 1, 2  # modes of blocks
ALL_EXPERTS, LIGHT_EXPERTS, NO_EXPERTS = 0, 1, 2  # presets of the predictor
NAME_CHARACTERS = frozenset((ascii_letters + digits + "._-/@+").encode())

class Refused(Exception):
    """The file is damaged, or is not one that this decoder reads. The text is one sentence."""

def refuse_if(condition: bool, why: str) -> None:
    if condition:
        raise Refused(why)

@dataclass
class Header:
    """FORMAT.md, "Frame header"."""
    bytes: bytes  # as they stand in the file
    flags: int
    predictor: int
    model_identity: bytes | None  # 8 bytes
    model_run: int
    name: str
    prime_identity: bytes | None  # 8 bytes

@dataclass
class Block:
    """FORMAT.md, "Block header" and "Seal and check"."""
    number: int
    mode: int
    branch_filter: int
    original_length: int
    payload: bytes
    streams: list[tuple[int, bytes]]  # original length and payload of each
    checksums: bytes  # seal and check as they stand in the file
    last: bool

Frame = tuple[Header, list[Block]]

def hash64(data: bytes) -> int:  # XXH3-64
    return xxhash.xxh3_64_intdigest(data)
def hash32(data: bytes) -> bytes:  # a seal or a check
    return hash64(data).to_bytes(8, "little")[:4]

class Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.position = 0
    def take(self, length: int, what: str) -> bytes:
        refuse_if(length > len(self.data) - self.position, f"the file ends in {what}")
        self.position += length
        return self.data[self.position - length : self.position]
    def since(self, position: int) -> bytes:
        return self.data[position : self.position]
    def byte(self, what: str) -> int:
        return self.take(1, what)[0]
    def fixed(self, length: int, what: str) -> int:
        return int.from_bytes(self.take(length, what), "little")
    def varint(self, what: str) -> int:
        """FORMAT.md, "Conventions"."""
        value = 0
        for shift in range(0, 70, 7):
            group = self.byte(what)
            value |= (group & 0x7F) << shift
            if value >> 64:
                break
            if group < 0x80:
                refuse_if(group == 0 and shift > 0, f"{what} is not the shortest form of a varint")
                return value
        raise Refused(f"{what} does not fit 64 bits")

def parse(data: bytes) -> list[Frame]:
    """The data frames of a file. FORMAT.md, "Overview"."""
    reader, frames, index = Reader(data), [], None
    while reader.position < len(data):
        start = reader.position
        magic = reader.take(4, "a frame's magic")
        if magic == b"\xfeLMI":
            auxiliary_frame(reader, start, index)
            index = None
        elif magic == b"\xfeLMZ":
            header, blocks = parse_data_frame(reader, start)
            frames.append((header, blocks))
            original_length = sum(block.original_length for block in blocks)
            index = b"\x01" + varint(reader.position - start) + varint(original_length)
            index += bytes([len(index) + 1])
        else:
            raise Refused(f"no frame begins at byte {start}: magic {magic.hex(' ')}")
    refuse_if(not frames, "the file has no data frame")
    return frames

def varint(n: int) -> bytes:
    return bytes([n]) if n < 0x80 else bytes([n & 0x7F | 0x80]) + varint(n >> 7)

def auxiliary_frame(reader: Reader, start: int, index: bytes | None) -> None:
    """FORMAT.md, "Auxiliary frame". `start` is where the magic begins; `index` describes the data
    frame just before it, if there is one."""
    length = reader.varint("an auxiliary frame's length")
    content = reader.take(length, "an auxiliary frame's content")
    refuse_if(content[:1] == b"\x01" and content != index, "an index is wrong")
    right = hash64(reader.since(start)) == reader.fixed(8, "an auxiliary frame's checksum")
    refuse_if(not right, "the checksum of an auxiliary frame is wrong")

def parse_data_frame(reader: Reader, start: int) -> Frame:
    """Header, blocks and end of a frame. FORMAT.md, "Frame" and "Frame end"."""
    header, blocks = parse_header(reader, start), []
    while not blocks or not blocks[-1].last:
        blocks.append(parse_block(reader, header, len(blocks)))
    if len(blocks) > 1:
        total = reader.varint("a frame's total length")
        length = sum(block.original_length for block in blocks)
        refuse_if(total != length, "the total length of a frame is wrong")
        hashed = header.bytes + b"".join(block.checksums for block in blocks)
        right = reader.fixed(8, "a checksum") == hash64(hashed + total.to_bytes(8, "little"))
        refuse_if(not right, "the checksum of a frame is wrong")
    return header, blocks

def parse_header(reader: Reader, start: int) -> Header:
    """FORMAT.md, "Frame header". `codec.decode_frame` refuses what this decoder lacks."""
    where = "a frame header"
    version, flags = reader.byte(where), reader.byte(where)
    refuse_if(version != 1, f"format version {version}; this decoder reads version 1")
    has_model, has_name, preset = bool(flags & 1), bool(flags & 2), flags >> 4 & 7
    reserved = preset > NO_EXPERTS or (preset == LIGHT_EXPERTS and has_model)
    refuse_if(reserved, f"reserved values are set in the flags {flags:#04x}")
    refuse_if(has_name and not has_model, "a frame header has a model's name but no model")
    predictor, identity, run, name = reader.byte(where), None, 0, b""
    if has_model:
        identity, run = reader.take(8, where), reader.byte(where)
        refuse_if(run & 15 == 0 or run >> 4 == 0, "the numerics version or the window is 0")
    if has_name:
        length = reader.byte(where)
        refuse_if(not 1 <= length <= 64, "the length of a model's name is out of range")
        name = reader.take(length, where)
        refuse_if(not NAME_CHARACTERS.issuperset(name), "a model's name is no name")
    prime = reader.take(8, where) if flags & 0x80 else None
    return Header(reader.since(start), flags, predictor, identity, run, name.decode("ascii"), prime)

def parse_block(reader: Reader, header: Header, number: int) -> Block:
    """FORMAT.md, "Block header" and "Seal and check". The seal is verified."""
    start = reader.position
    kind = reader.byte("a block header")
    mode, last, has_streams = kind & 3, bool(kind & 4), bool(kind & 8)
    branch_filter = kind >> 4 & 3
    reserved = kind >> 6 or mode > MODEL or (has_streams and mode != MODEL)
    reserved = reserved or (branch_filter and mode != EXPERTS)
    refuse_if(reserved, f"reserved bits are set in the block header {kind:#04x}")
    lacking = mode == MODEL and header.model_identity is None
    refuse_if(lacking, "a block uses a model, and its frame names none")
    original_length = payload_length = reader.varint("a block's original length")
    least = 0 if mode == RAW and last and number == 0 else 1  # 0 in the empty frame
    refuse_if(not least <= original_length <= 2**24, "an original length is out of range")
    if mode != RAW:
        payload_length = reader.varint("a block's payload length")
        most = original_length + original_length // 8 + 64
        refuse_if(payload_length > most, "a payload length is out of range")
    lengths = [(original_length, payload_length)]
    if has_streams:
        lengths = parse_stream_table(reader, original_length, payload_length)
    block_header = reader.since(start)
    payload = reader.take(payload_length, "a block's payload")
    checksums = reader.take(4 if header.flags & 8 else 8, "a block's checksums")
    sealed = header.bytes + number.to_bytes(8, "little") + block_header + payload
    refuse_if(hash32(sealed) != checksums[:4], f"the seal of block {number} is wrong")
    streams, begin = [], 0
    for original, length in lengths:
        streams.append((original, payload[begin : begin + length]))
        begin += length
    return Block(number, mode, branch_filter, original_length, payload, streams, checksums, last)

def parse_stream_table(reader: Reader, original: int, payload: int) -> list[tuple[int, int]]:
    """Original and payload length of each stream. FORMAT.md, "Block header"."""
    more_streams = reader.byte("a stream table")
    refuse_if(more_streams == 0, "the number of streams is out of range")
    lengths = []
    for _ in range(more_streams):
        stream = reader.varint("a stream table"), reader.varint("a stream table")
        # The last stream, too, has at least one byte of the original.
        fits = 0 < stream[0] < original and stream[1] <= payload
        refuse_if(not fits, "a stream table does not fit its block")
        original, payload = original - stream[0], payload - stream[1]
        lengths.append(stream)
    return lengths + [(original, payload)]
