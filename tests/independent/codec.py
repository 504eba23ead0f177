"""Coded bits: docs/FORMAT.md, "Coded bits" to "Streams"."""

import copy
from bisect import bisect_left
from dataclasses import dataclass, field
import numpy as np
from branches import restore
from container import ALL_EXPERTS, LIGHT_EXPERTS, MODEL, RAW, Block, Frame, hash32, refuse_if
from model import Context, Integers, Model, prefix_sums, token_weights
from predictor import BIT, ESCAPE, MASK64, TOKEN_END, AllExperts, LightExperts, NoExperts
from predictor import Place, Recall, Recalled, learn_bias, learn_round

class RangeDecoder:
    """FORMAT.md, "Range coder"."""
    def __init__(self, payload: bytes):
        words = [payload[i : i + 4].ljust(4, b"\0") for i in range(0, len(payload), 4)]
        self.words = [int.from_bytes(word, "big") for word in words]
        self.read = 0
        self.zero_words = 0 if payload else -1  # of an empty payload, the first two count as one
        self.lower, self.range = 0, MASK64
        self.point = self.next_word() << 32 | self.next_word()
    def next_word(self) -> int:
        if self.read < len(self.words):
            self.read += 1
            return self.words[self.read - 1]
        self.zero_words += 1
        refuse_if(self.zero_words == 3, "a stream needs more coded bits than its payload has")
        return 0
    def decode(self, p: int) -> int:
        one = min(max(p >> 4, 1), 2**20 - 1)
        zero = 2**20 - one
        scale = self.range >> 20
        quotient = ((self.point - self.lower) & MASK64) // scale
        refuse_if(quotient >= 2**20, "a payload has bits that no encoder writes")
        if quotient < zero:
            decision, self.range = 0, scale * zero
        else:
            decision, self.range = 1, scale * one
            self.lower = (self.lower + scale * zero) & MASK64
        if self.range < 2**32:
            self.lower = (self.lower << 32) & MASK64
            self.range = self.range << 32
            self.point = (self.point << 32) & MASK64 | self.next_word()
        return decision
    def end(self) -> None:
        refuse_if(self.read < len(self.words), "a payload has more coded bits than it needs")

@dataclass
class Stream:
    """FORMAT.md, "Streams". `last` is the row before the next token, as recall counts."""
    coder: RangeDecoder
    original_length: int
    context: Context
    place: Place | None
    bias: Integers  # [vocab]
    last: int
    original: bytearray = field(default_factory=bytearray)
    def left(self) -> int:
        return self.original_length - len(self.original)

@dataclass
class Probabilities:
    """FORMAT.md, "Model blocks", step 2."""
    m: Integers
    c: Integers
    recalled: Recalled | None

class FrameDecoder:
    """The state of a frame: FORMAT.md, "State"."""
    def __init__(self, preset: int, model: Model | None, prime: bytes):
        self.model, self.position, self.address = model, 0, 0
        self.recalls = preset == ALL_EXPERTS and model is not None  # and has output bias
        if preset == ALL_EXPERTS:
            self.predictor = AllExperts(model is not None)
        else:
            self.predictor = LightExperts() if preset == LIGHT_EXPERTS else NoExperts()
        if model is not None:
            c = model.configuration
            self.bias = np.zeros(c["vocab"], np.int64)
            self.recall = Recall(c["hidden"], c["inputs"])
            self.context = Context(model)
            self.context.rows += longest_tokens(model.tokens, prime[-4096:])
        for bit in (byte >> shift & 1 for byte in prime for shift in range(7, -1, -1)):
            self.predictor.probability(BIT, None)
            self.predictor.learn(BIT, bit, None)
        self.position = len(prime)
    def decode_block(self, block: Block) -> bytes:
        if block.mode == MODEL:
            original = self.model_block(block)
        else:
            original = self.raw_block(block) if block.mode == RAW else self.experts_block(block)
            if self.model is not None:
                self.context = Context(self.model)
        self.position += block.original_length
        self.address += block.original_length
        return original

    # Decisions
    def decide(self, coder: RangeDecoder, kind: str, opinion: int | None = None) -> int:
        p = self.predictor.probability(kind, opinion)
        decision = coder.decode(min(max(p, 1), 2**24 - 1))
        self.predictor.learn(kind, decision, opinion)
        return decision
    def byte_without_opinion(self, coder: RangeDecoder) -> int:
        byte = 0
        for _ in range(8):
            byte = byte << 1 | self.decide(coder, BIT)
        return byte
    def raw_block(self, block: Block) -> bytes:
        self.predictor.raw(block.payload)
        return block.payload

    # Experts blocks
    def experts_block(self, block: Block) -> bytes:
        coder = RangeDecoder(block.payload)
        original = bytes(self.byte_without_opinion(coder) for _ in range(block.original_length))
        coder.end()
        return restore(block.branch_filter, original, self.address)

    # Streams
    def model_block(self, block: Block) -> bytes:
        last = self.context.rows[-1]
        place, position = self.predictor.place, self.position
        # Context and place of all streams but the first are set below.
        streams = [
            Stream(RangeDecoder(payload), length, self.context, place, self.bias.copy(), last)
            for length, payload in block.streams
        ]
        first, many = streams[0], len(streams) > 16
        if len(streams) > 1:
            while len(first.context.rows) < 256 and first.left():
                self.piece(first, [first] if many else streams)
        for before, stream in zip(streams, streams[1:]):
            position += before.original_length
            stream.context = copy.deepcopy(first.context)
            stream.place = self.predictor.new_place(position)
            if many:
                stream.bias, stream.last = first.bias.copy(), first.last
        while any(stream.left() for stream in streams):
            if many:
                self.round(streams)
                continue
            for stream in streams:
                self.predictor.place = stream.place
                while stream.left() and not self.piece(stream, streams):
                    pass  # a turn ends with a token
        for stream in streams:
            stream.coder.end()
        final = streams[-1]
        self.context, self.predictor.place, self.bias = final.context, final.place, final.bias
        return b"".join(stream.original for stream in streams)

    def round(self, streams: list[Stream]) -> None:
        """FORMAT.md, "Many streams"."""
        turns = [(number, stream) for number, stream in enumerate(streams) if stream.left()]
        ahead = [self.probabilities(stream) for _, stream in turns]
        tokens = []
        for (number, stream), probabilities in zip(turns, ahead):
            self.predictor.place = stream.place
            while stream.left() and self.escaped(stream):
                pass
            if stream.left():
                tokens.append((number, self.next_token(stream, probabilities), probabilities))
        if self.recalls:
            learned = [(number, row, known.m) for number, row, known in tokens]
            learn_round([stream.bias for stream in streams], learned)
            for _, row, known in tokens:
                self.recall.after_token(known.recalled, row)

    # Model blocks
    def piece(self, stream: Stream, streams: list[Stream]) -> bool:
        """Decodes an escaped byte or a token, and returns whether it is a token."""
        if self.escaped(stream):
            return False
        known = self.probabilities(stream)
        row = self.next_token(stream, known)
        if self.recalls:
            for other in streams:
                learn_bias(other.bias, row, known.m, other is stream)
            self.recall.after_token(known.recalled, row)
        return True
    def escaped(self, stream: Stream) -> bool:
        """Decodes an escaped byte if there is one."""
        if self.model.has_all_bytes or not self.decide(stream.coder, ESCAPE):
            return False
        stream.original.append(self.byte_without_opinion(stream.coder))
        return True
    def probabilities(self, stream: Stream) -> Probabilities:
        self.model.compute(stream.context)
        logits = self.model.logits(stream.context)
        if not self.recalls:
            m = prefix_sums(token_weights(logits))
            return Probabilities(m, m, None)
        weights = token_weights(logits + stream.bias)
        m = prefix_sums(weights)
        recalled = self.recall.before_token(self.model.state(stream.context), stream.last, m)
        for row, weight in recalled.weights.items():
            weights[row] += weight
        return Probabilities(m, prefix_sums(weights), recalled)
    def next_token(self, stream: Stream, known: Probabilities) -> int:
        self.predictor.begin_token(int(known.m[-1]))
        row = self.token(stream, known.c)
        stream.original += self.model.tokens[row]
        stream.context.rows.append(row)
        stream.last = row
        return row
    def token(self, stream: Stream, c: Integers) -> int:
        """Decodes a token byte by byte, and returns its row."""
        tokens = self.model.tokens
        low, high, depth = 0, len(tokens), 0
        left = stream.left()
        while True:
            for bit in range(7, -1, -1):
                bit_of = lambda row: tokens[row][depth] >> bit & 1
                split = bisect_left(range(high), 1, low, key=bit_of)
                if split in (low, high):
                    self.predictor.learn_certain(1 if split == low else 0)
                elif self.decide(stream.coder, BIT, share(c, split, high, low, high)):
                    low = split
                else:
                    high = split
            depth, left = depth + 1, left - 1
            if len(tokens[low]) > depth:
                refuse_if(left == 0, "a token is longer than the rest of its stream")
                continue
            if high - low == 1 or left == 0:
                return low
            if self.decide(stream.coder, TOKEN_END, share(c, low, low + 1, low, high)):
                return low
            low += 1

def longest_tokens(tokens: list[bytes], data: bytes) -> list[int]:
    """FORMAT.md, "Prime"."""
    row_of, longest, rows = {token: row for row, token in enumerate(tokens)}, max(map(len, tokens)), []
    while data:
        lengths = range(min(longest, len(data)), 0, -1)
        length = next((n for n in lengths if data[:n] in row_of), 0)
        rows += [row_of[data[:length]]] if length else []
        data = data[length or 1 :]
    return rows

def share(c: Integers, a: int, b: int, low: int, high: int) -> int:
    """The share of rows a..b in low..high."""
    part, whole = int(c[b] - c[a]), int(c[high] - c[low])
    e = max(whole.bit_length() - 40, 0)
    return min(max(((part >> e) << 24) // (whole >> e), 1), 2**24 - 1)

def decode_frame(frame: Frame, models: dict[bytes, Model], primes: dict[bytes, bytes]) -> bytes:
    """The original of a frame. `models` and `primes`: by identity."""
    header, blocks = frame
    refuse_if(header.predictor != 1, "this decoder has no predictor but version 1")
    model = None
    if header.model_identity is not None:
        refuse_if(header.model_run & 15 != 1, "this decoder has no numerics but version 1")
        model = models.get(header.model_identity)
        refuse_if(model is None, f"model {header.name} ({header.model_identity.hex()}) is needed")
        log2_window = model.window.bit_length() - 1
        refuse_if(header.model_run >> 4 != log2_window, "the window is not that of the model")
    prime = b"" if header.prime_identity is None else primes.get(header.prime_identity)
    refuse_if(prime is None, "another prime is needed")
    decoder, originals = None, []
    for block in blocks:
        if decoder is None or header.flags & 4:
            decoder = FrameDecoder(header.flags >> 4 & 7, model, prime)
        original = decoder.decode_block(block)
        wrong = block.checksums[4:] not in (b"", hash32(original))
        refuse_if(wrong, f"the check of block {block.number} is wrong")
        originals.append(original)
    return b"".join(originals)
