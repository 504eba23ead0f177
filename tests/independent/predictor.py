"""The predictor: docs/PREDICTOR.md, section by section. Comments name the sections.

Of each preset's predictor, `codec.py` calls `probability` before a decision and `learn` after it,
`learn_certain` for a bit that is not coded, `begin_token`, and `raw` for the bytes of a raw block.
Between two pieces, `codec.py` may set `place` to another place.
"""

import math
from array import array
from dataclasses import dataclass
from types import SimpleNamespace
import numpy as np
from model import Integers

BIT, TOKEN_END, ESCAPE = "bit", "token end", "escape"  # kinds of decisions
MASK32, MASK64 = 2**32 - 1, 2**64 - 1

# Conventions
def clamp(x: int, low: int, high: int) -> int:
    return low if x < low else high if x > high else x
def divide(a: int, b: int) -> int:
    """`/`: truncates towards 0. b is positive."""
    return a // b if a >= 0 else -(-a // b)
def log2(x: int) -> int:
    return x.bit_length() - 1
def combine(h: int, v: int) -> int:
    x = ((h ^ v) * 0x9E3779B1) & MASK32
    return x ^ (x >> 15)

# Logistic functions
base, term = 0, 2**62
for n in range(14):
    base = base + term if n % 2 == 0 else base - term
    term = term // (32 * (n + 1))
K, power = [], 2**60
for _ in range(514):
    K.append((power << 30) // (2**60 + power))
    power = (power * base) >> 62

def tail(x: int) -> int:
    return K[x >> 7] - (((K[x >> 7] - K[(x >> 7) + 1]) * (x & 127)) >> 7)
def squash(x: int) -> int:
    t = max(tail(min(abs(x), 65520)) >> 6, 1)
    return t if x < 0 else 2**24 - t

S, logit = [0] * (24 * 256), 0
for index in range(6143, -1, -1):
    octave, mantissa = index >> 8, index & 255
    wanted = (512 + 2 * mantissa + (1 if octave > 8 else 0)) << octave
    while logit < 4095 and (tail((logit + 1) * 16) << 3) >= wanted:
        logit += 1
    S[index] = logit

def stretch(p: int) -> int:
    t = max(2**24 - p if p > 2**23 else p, 1)
    entry = S[log2(t) * 256 + (((t << 8) >> log2(t)) & 255)]
    return entry if p > 2**23 else -entry
def quick(q: int) -> int:
    return stretch((2 * (q >> 8) + 1) << 9)

# Counters
class Counters:
    def __init__(self, count: int, q: int = 2**21, n: int = 0):
        self.q = array("i", [q]) * count
        self.n = array("H", [n]) * count
    def probability(self, index: int) -> int:
        return 4 * self.q[index] + 2
    def inputs(self, index: int) -> tuple[int, int]:
        """`stretch` of the probability, and the offset."""
        return stretch(self.probability(index)), (self.q[index] - 2**21) >> 12
    def update(self, index: int, bit: int, limit: int) -> None:
        target = 2**22 - 1 if bit else 0
        self.q[index] += ((target - self.q[index]) * (2**17 // (2 * self.n[index] + 3))) >> 16
        self.n[index] = min(self.n[index] + 1, limit)

# Bit histories: States
def allowed(zeros: int, ones: int) -> bool:
    smaller, larger = sorted((zeros, ones))
    return smaller <= 5 and larger <= (35, 21, 13, 9, 7, 6)[smaller]

STATES = []  # (zeros, ones, ending) of each
for ending in range(1, 32):
    ones = ending.bit_count() - 1  # the leading 1 is no bit of the history
    STATES.append((log2(ending) - ones, ones, ending))
for total in range(5, 64):
    for zeros in range(total + 1):
        seen = (zeros, total - zeros)
        STATES += [(*seen, last) for last in (0, 1) if allowed(*seen) and seen[last] > 0]

def reduced(count: int) -> int:
    return count if count <= 2 else 3 + sum(count >= bound for bound in (5, 8, 12, 18))

def next_state(state: int, bit: int) -> int:
    *counts, ending = STATES[state]
    total = sum(counts)
    counts[bit] += 1
    if total >= 4:
        counts[1 - bit] = reduced(counts[1 - bit])
    while not allowed(*counts):
        counts[0 if counts[0] > counts[1] else 1] -= 1

    def fits(other: int) -> bool:
        if total < 4:
            return other == 2 * ending + bit
        return (other & 1 if sum(counts) <= 4 else other) == bit

    return max(n for n, (z, o, other) in enumerate(STATES) if [z, o] == counts and fits(other))

NEXT = [[next_state(state, bit) for bit in (0, 1)] for state in range(len(STATES))]

# Bit histories: The table, A set of histories
class HistorySet:
    """The table, and the maps of N contexts. `place` has C, H and rows."""
    def __init__(self, contexts: int, log2_size: int):
        self.table, self.shift = bytearray(2**log2_size), 38 - log2_size
        self.maps = [Counters(256) for _ in range(contexts)]
        for counters in self.maps:
            for state, (z, o, _) in enumerate(STATES):
                q = ((2 * o + 1) << 22) // (2 * (z + o) + 2)
                counters.q[state] = min(q, 2**22 - 1)
    def find(self, hash: int) -> int:
        """Where the row of this hash begins in the table."""
        table, check, line = self.table, hash & 255, (hash >> self.shift) * 64
        rows = range(line, line + 64, 16)
        for row in rows:
            if table[row] == check:
                return row
        row = min(rows, key=lambda row: table[row + 1])
        table[row : row + 16] = bytes([check]) + bytes(15)
        return row
    def select(self, place: "Place", first: int) -> None:
        """New row hashes, at the start and in the middle of a byte."""
        place.row_hashes, place.looked_up = [], False
        for context_hash in place.context_hashes:
            x = ((context_hash ^ (first * 0x3D4D51CB)) * 0x9E3779B1) & MASK32
            place.row_hashes.append(((x ^ (x >> 14)) * 0x85EBCA6B) & MASK32)
    def look_up(self, place: "Place") -> None:
        if not place.looked_up:
            place.rows = [self.find(hash) for hash in place.row_hashes]
            place.looked_up = True
    def inputs(self, place: "Place", partial: int, bits: int) -> list[int]:
        self.look_up(place)
        self.node = 2 ** (bits & 3) + (partial & (2 ** (bits & 3) - 1))
        self.states = [self.table[row + self.node] for row in place.rows]
        probabilities = [counters.q[state] for counters, state in zip(self.maps, self.states)]
        return [x for q in probabilities for x in (quick(q), (q - 2**21) >> 12)]
    def learn(self, place: "Place", bit: int) -> None:
        for counters, state, row in zip(self.maps, self.states, place.rows):
            counters.update(state, bit, 255)
            counters.q[0], counters.n[0] = 2**21, 0
            self.table[row + self.node] = NEXT[state][bit]

# Places
class Place:
    """What belongs to a place. `R[d]` is R(d)."""
    def __init__(self, position: int, contexts: int, matches: int):
        self.origin = self.position = position
        self.R = bytearray(25)
        self.context_hashes, self.row_hashes = [0] * contexts, [0] * contexts  # C and H
        self.rows, self.looked_up = [0] * contexts, True
        match = {"slot": 0, "pointer": None, "length": 0, "misses": 0, "expected": 0}
        self.matches = [SimpleNamespace(**match) for _ in range(matches)]
        # Records, Pixels
        self.record_length, self.votes, self.last_positions = 1, [0] * 2049, [(0, 0)] * 256
        self.active, self.blank, self.row, self.above = False, 0, 0, [0, 0, 0]
        # Contexts
        self.line = self.previous = position
        self.word, self.classes, self.head = [0, 0, 0, 0], 0, 0
        self.after1, self.after2 = array("I", bytes(4 * 256)), array("I", bytes(4 * 65536))
        # Tokens
        self.token_hash = self.previous_hash = self.escaped = 0
        self.token_begin = position

# The history of bytes
class History:  # the ring of bytes and its flags
    def __init__(self, size: int):
        self.size, self.ring, self.token_ended = size, bytearray(size), bytearray(size)
    def at(self, position: int) -> int:
        return self.ring[position % self.size]
    def push(self, place: Place, byte: int) -> None:
        self.ring[place.position % self.size] = byte
        self.token_ended[place.position % self.size] = 0
        place.position += 1
        place.R[1:25] = bytes([byte]) + place.R[1:24]

# Match models
G = 0x9E3779B97F4A7C15
LENGTH_CLASSES = [0, 1, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64, 96, 192, 400]  # where each begins
CLASSES = [sum(length >= begin for begin in LENGTH_CLASSES) for length in range(401)]

class MatchModel:
    def __init__(self, index: int, minimum: int, log2_slots: int, history: History, own: bool):
        """`own`: whether its slots are a stream's own. `index`: of its part of the place."""
        self.index, self.minimum, self.log2_slots = index, minimum, log2_slots
        self.history, self.own = history, own
        self.slots = array("I", bytes(4 << log2_slots))
        self.counters = Counters(16 * 16 * 8, 3 * 2**20)
    def compute_slot(self, place: Place) -> None:
        hash = place.origin if self.own else 0
        for k in range(3):
            used = clamp(self.minimum - 8 * k, 0, 8)
            if used > 0:
                word = int.from_bytes(place.R[8 * k + 1 : 8 * k + 9], "little")
                hash = ((hash ^ (word << (64 - 8 * used) & MASK64)) * G) & MASK64
                hash ^= hash >> 29
        place.matches[self.index].slot = (hash * G & MASK64) >> (64 - self.log2_slots)
    def after_byte(self, place: Place) -> None:
        match, history, position = place.matches[self.index], self.history, place.position
        if match.pointer is not None:
            hit = history.at(position - 1) == match.expected
            match.misses = (match.misses << 1 | (0 if hit else 1)) & 255
            match.length = min(match.length + 1, 400) if hit else 0
            match.pointer += 1
            if match.misses.bit_count() > 4:
                match.pointer = None
        if position >= self.minimum:
            if match.pointer is None or (match.length < self.minimum and match.misses != 0):
                candidate = self.slots[match.slot]
                agreement = self.agreement(candidate, position)
                if agreement >= self.minimum and agreement > match.length:
                    match.pointer, match.length, match.misses = candidate, agreement, 0
            self.slots[match.slot] = position & MASK32
        if match.pointer is not None:
            match.expected = history.at(match.pointer)
            if abs(position - match.pointer) >= history.size:
                match.pointer = None
    def agreement(self, candidate: int, position: int) -> int:
        history, longest = self.history, min(48, candidate)
        if candidate in (0, position) or abs(position - candidate) + 64 >= history.size:
            return 0
        for a in range(longest):
            if history.at(candidate - 1 - a) != history.at(position - 1 - a):
                return a
        return longest
    def class_of(self, place: Place) -> int:
        match = place.matches[self.index]
        return 0 if match.pointer is None else CLASSES[match.length]
    def inputs(self, place: Place, partial: int, bits: int) -> tuple[int, int]:
        """Sets `expected_bit`, to None if the model expects none."""
        match = place.matches[self.index]
        self.expected_bit = None
        if match.pointer is None or (match.expected + 256) >> (8 - bits) != partial:
            return 0, 0
        self.expected_bit = (match.expected >> (7 - bits)) & 1
        m = match.misses
        recent = min(m.bit_count(), 3) * 4 + (m & 1) * 2 + ((m >> 1) & 1)
        self.counter = (CLASSES[match.length] * 16 + recent) * 8 + bits
        a, b = self.counters.inputs(self.counter)
        return (a, b) if self.expected_bit else (-a, -b)
    def learn(self, bit: int) -> None:
        if self.expected_bit is not None:
            self.counters.update(self.counter, bit == self.expected_bit, 1023)

# Mixers
class Mixer:
    """NumPy's int32 wraps, as sums and products must."""
    def __init__(self, weights, sets, rate, second, second_rate, paces=None):
        """`weights`: of every vector at first. `sets`, `second`: numbers of vectors."""
        self.weights = [np.tile(np.array(weights, np.int32), (vectors, 1)) for vectors in sets]
        self.learned = [[0] * vectors for vectors in sets]
        self.paces, self.rate, self.second_rate = paces or [1] * len(sets), rate, second_rate
        self.second_weights = np.full((second, len(sets)), 2**20 // len(sets), np.int32)
        self.second_learned = [0] * second
    def mix(self, inputs: list[int], selected: list[int], second: int) -> int:
        """The result is z; `y` becomes the sums of the sets."""
        self.inputs, self.selected, self.second = np.array(inputs, np.int32), selected, second
        vectors = np.stack([weights[v] for weights, v in zip(self.weights, selected)])
        self.y = np.clip(((vectors >> 8) @ self.inputs) >> 12, -4095, 4095)
        self.z = int((self.second_weights[second] >> 8) @ self.y) >> 8
        return self.z
    def learn(self, bit: int) -> None:
        for s, (v, y) in enumerate(zip(self.selected, self.y.tolist())):
            d = step(bit, self.learned[s], v, self.paces[s], self.rate, squash(16 * y))
            self.weights[s][v] += (self.inputs * np.int32(d) + 2**11) >> 12
        d = step(bit, self.second_learned, self.second, 1, self.second_rate, squash(self.z))
        self.second_weights[self.second] += (self.y * np.int32(d) + 2**11) >> 12

def step(bit: int, learned: list[int], v: int, pace: int, f_e: tuple[int, int], p: int) -> int:
    rate = min(pace * (f_e[0] + f_e[1] * 100 // (100 + learned[v])), 2000)
    learned[v] = min(learned[v] + 1, 4095)
    return ((bit * 2**24 - p) * rate + 2**15) >> 16

# Probability maps
class ProbabilityMap:
    def __init__(self):
        curve = [squash((k - 12) * 4096) >> 2 for k in range(25)]
        self.counters = Counters(2**16 * 25, 0, 6)
        self.counters.q = array("i", curve) * 2**16
    def refine(self, logit: int, curve: int) -> int:
        x = clamp(logit + 3072, 0, 6143)
        k, part = x >> 8, x & 255
        first = curve * 25 + k
        self.nearest = first if part < 128 else first + 1
        a, b = self.counters.q[first], self.counters.q[first + 1]
        return (a * (256 - part) + b * part) >> 6
    def learn(self, bit: int) -> None:
        self.counters.update(self.nearest, bit, 255)

# All experts
def is_letter(byte: int) -> bool:
    return 65 <= byte <= 90 or 97 <= byte <= 122
def extend_word(word: int, byte: int) -> int:
    """The hash of a word and a further byte, or 0 if the byte is of no word."""
    lower = byte + 32 if 65 <= byte <= 90 else byte
    return combine(word, lower + 1) if is_letter(byte) or byte >= 128 else 0

def byte_class(byte: int) -> int:
    if byte in b"\n\r \t":
        return 1 if byte in b"\n\r" else 2
    if is_letter(byte):
        return 4 if byte >= 97 else 5
    return 3 if byte in b"0123456789" else 6 if byte >= 128 else 0 if byte < 32 else 7

class ByteExperts:  # what all experts and the light experts have in common
    def __init__(self, contexts: int, log2_table: int, history: History, matches: list[MatchModel]):
        self.history, self.matches, self.order0 = history, matches, Counters(256)
        self.histories = HistorySet(contexts, log2_table)
        self.place = self.new_place(0)
        self.partial, self.bits = 1, 0
    def new_place(self, position: int) -> Place:
        return Place(position, len(self.histories.maps), len(self.matches))
    def B(self, distance: int) -> int:
        return self.history.at(self.place.position - distance)
    def gather(self) -> list[int]:
        """The inputs of counters, histories and matches. Sets x and class of the longest match."""
        now = self.place, self.partial, self.bits
        inputs = [256, stretch(self.order0.probability(self.partial)), *self.histories.inputs(*now)]
        self.x = self.match_class = 0
        for model in self.matches:
            inputs += model.inputs(*now)
            if self.x == 0 and model.expected_bit is not None:
                self.x, self.match_class = 1 + model.expected_bit, model.class_of(self.place)
        return inputs

    # Learning a bit
    def learn(self, kind: str, bit: int, opinion: int | None) -> None:
        self.mixer.learn(bit)
        if opinion is not None:
            self.referee.learn(bit)
        for probability_map in self.maps:
            probability_map.learn(bit)
        self.learn_experts(bit)
    def learn_experts(self, bit: int) -> None:
        self.order0.update(self.partial, bit, 255)
        self.histories.learn(self.place, bit)
        for model in self.matches:
            model.learn(bit)
        self.partial, self.bits = self.partial << 1 | bit, self.bits + 1
        if self.bits == 4:
            self.histories.select(self.place, self.partial)
        if self.bits == 8:
            byte = self.partial & 255
            self.partial, self.bits = 1, 0
            self.complete(byte)
    def learn_certain(self, bit: int) -> None:
        self.gather()
        self.learn_experts(bit)
    def complete(self, byte: int) -> None:
        self.history.push(self.place, byte)
        for model in self.matches:
            model.compute_slot(self.place)
        self.compute_contexts(byte)
        self.histories.select(self.place, 0)
        for model in self.matches:
            model.after_byte(self.place)
    def raw(self, data: bytes) -> None:
        for byte in data:
            self.complete(byte)

class AllExperts(ByteExperts):
    def __init__(self, with_model: bool):
        ring, slots, table = (22, 18, 25) if with_model else (24, 22, 27)  # logarithms of sizes
        history = History(2**ring)
        matches = [MatchModel(i, m, slots, history, own=m == 5) for i, m in enumerate((20, 10, 5))]
        super().__init__(26, table, history, matches)
        self.pixels = Counters(2**17), Counters(2**18)
        sets = [48, 256, 256, 64, 512, 2048]
        self.mixer = Mixer([21140] * 62, sets, (190, 1800), 256, (100, 1000))
        sets, paces = [256, 64, 512, 512, 256, 512] * 2, [1] * 6 + [8] * 6
        self.referee = Mixer([2**20, 0, 2**17] + [0] * 11, sets, (50, 500), 1, (15, 100), paces)
        self.maps = ProbabilityMap(), ProbabilityMap()
        self.token_end, self.escape = Event(), Event()

    # After each byte: Records, Pixels, Contexts
    def compute_contexts(self, byte: int) -> None:
        place = self.place
        place.token_hash = combine(place.token_hash, byte + 1)
        self.update_records(byte)
        self.update_pixels(byte)
        self.update_lines_and_words(byte)
        place.context_hashes = []
        for i, value in enumerate(self.context_values()):
            salt = (i + 1 + (place.origin if i in (1, 7) else 0)) & MASK32
            hash = combine(combine(salt, 0x517CC1), value) * 0x2545F491
            place.context_hashes.append(hash & MASK32)
    def update_records(self, byte: int) -> None:
        place, votes = self.place, self.place.votes
        position = place.position & MASK32
        s0, s1 = place.last_positions[byte]
        d = (position - s0) & MASK32
        if d == (s0 - s1) & MASK32 and 1 < d <= 2048:
            votes[d] = votes[d] + 16 + min(d, 128)
        place.last_positions[byte] = (position, s0)
        if position % 1024 == 0:
            best = place.record_length
            for length in range(2049):
                if votes[length] > votes[best] + votes[best] // 2:
                    best = length
            place.record_length = best
            place.votes = [vote - (vote >> 3) for vote in votes]
    def update_pixels(self, byte: int) -> None:
        place, r = self.place, self.place.record_length
        place.blank = place.blank - (place.blank >> 7) + (512 if byte in (0, 255) else 0)
        place.active = r >= 12 and place.blank > 2**14
        if place.active:
            place.row = int.from_bytes(place.R[1:5], "little")
            for i in range(3):
                d = (i + 1) * r
                place.above[i] = self.B(d + 1) << 16 | self.B(d) << 8 | self.B(d - 1)
    def update_lines_and_words(self, byte: int) -> None:
        place, word = self.place, self.place.word
        b2, pair = self.B(2), self.B(2) << 8 | self.B(3)
        place.after1[b2] = (place.after1[b2] << 8 | byte) & MASK32
        place.after2[pair] = (place.after2[pair] << 8 | byte) & MASK32
        place.classes = (place.classes << 4 | byte_class(byte)) & MASK64
        if is_letter(byte) or byte >= 128:
            word[0] = extend_word(word[0], byte)
        elif word[0] != 0:
            word[:] = 0, word[0], word[1], word[2]
        if byte == 10:
            place.previous, place.line = place.line, place.position
        column = place.position - place.line
        above = place.previous + column
        self.byte_above = self.history.at(above) if above < place.line else 0
        if column == 0:
            place.head = 0
        elif column <= 3:
            place.head = place.head << 8 | byte
    def context_values(self) -> list[int]:
        place, B, word = self.place, self.B, self.place.word
        c1, c2, c3 = place.R[1:4]
        l4, l8 = (int.from_bytes(place.R[i : i + 4], "little") for i in (1, 5))
        r, m = place.record_length, place.position % place.record_length
        a1, a2 = place.after1[c1], place.after2[c1 << 8 | c2]
        column, above = min(place.position - place.line, 255), self.byte_above
        w = combine(word[0], c1)
        return [
            # 0 to 6: orders
            c1, l4 & 0xFFFF, l4 & 0xFFFFFF, l4,
            combine(l4, l8 & 0xFF), combine(l4, l8 & 0xFFFF), combine(l4, l8),
            # 7 to 15: words, gaps
            w, combine(w, word[1]), combine(w, word[2]),
            combine(combine(w, word[1]), word[2]), combine(combine(word[0], word[3]), c1),
            l4 & 0x00FFFF00, l4 & 0xFFFF0000, l4 & 0x00FF00FF, l4 & 0xFF00FF00,
            # 16 to 25: lines, classes, what followed, records
            combine(column, above), combine(combine(above, c1), l4 & 0xFF00),
            combine(place.head, combine(column, c1)),
            combine(place.classes >> 32, place.classes & MASK32),
            combine(a1 & 0xFFFF, c1), combine(a2 & 0xFFFFFF, c1),
            combine(B(r), m), combine(B(r), c1 | B(2 * r) << 8), combine(c1 | c2 << 8, m),
            combine(B(r), combine(c1 | c2 << 8 | c3 << 16, 0)),
        ]

    # Pixels: for each bit
    def pixel_inputs(self) -> list[int]:
        place, partial, bits = self.place, self.partial, self.bits
        if not place.active:
            return [0, 0]

        def A(i: int, width: int, right: int) -> int:
            return (place.above[i] >> (15 - bits - right)) & (2**width - 1)

        w = (place.row << bits & MASK32) | (partial & (2**bits - 1))
        self.near = (w & 7) | A(0, 5, 2) << 3
        self.first = self.near | ((w >> 3) & 31) << 8
        self.first |= ((A(0, 9, 4) >> 7) | (A(0, 9, 4) & 3) << 2) << 13
        self.second = (w & 15) | A(0, 7, 3) << 4 | A(1, 5, 2) << 11 | A(2, 2, 0) << 16
        return [quick(self.pixels[0].q[self.first]), quick(self.pixels[1].q[self.second])]

    def learn_experts(self, bit: int) -> None:
        if self.place.active:
            self.pixels[0].update(self.first, bit, 255)
            self.pixels[1].update(self.second, bit, 255)
        super().learn_experts(bit)

    # Inputs of a bit, Probability of a bit
    def gather(self) -> list[int]:
        return super().gather() + self.pixel_inputs()
    def probability(self, kind: str, opinion: int | None) -> int:
        if kind == TOKEN_END:
            return self.token_end_probability(opinion)
        if kind == ESCAPE:
            return self.escape_probability()
        place, partial, bits, classes = self.place, self.partial, self.bits, self.place.classes
        inputs = self.gather()
        self.hits = sum(state != 0 for state in self.histories.states[:7])
        k = self.near & 255 if place.active else min(place.position % place.record_length, 255)
        selected = [
            self.match_class * 3 + self.x, partial, self.B(1), self.hits * 8 + bits,
            (classes & 7) | ((classes >> 4) & 7) << 3 | ((classes >> 8) & 7) << 6,
            k * 8 + bits,
        ]
        z = self.mixer.mix(inputs, selected, partial)
        if opinion is not None:
            z = self.consult_referee(opinion, z, inputs)
        logit = clamp(z >> 4, -4095, 4095)
        a = self.maps[0].refine(logit, self.B(1) << 8 | partial)
        pair = (((self.B(1) | self.B(2) << 8) * 0x9E3779B1) & MASK32) >> 16
        b = self.maps[1].refine(logit, (pair ^ (partial * 0x0101)) & 0xFFFF)
        weight = 2 if opinion is None else 6
        return (squash(z) * weight + a + b) // (weight + 2)

    # The referee
    def consult_referee(self, p: int, z: int, mixer_inputs: list[int]) -> int:
        o, g = stretch(p), clamp(z >> 4, -4095, 4095)
        inputs = [o, (p - 2**23) >> 14, g, (squash(z) - 2**23) >> 14, 256]
        inputs += self.mixer.y.tolist() + [mixer_inputs[i] for i in (54, 56, 58)]
        depth = self.place.position - self.place.token_begin
        sure = min(abs(o) >> 6, 15)
        agree = 1 if self.x == 0 else 3 if (self.x == 2) == (o > 0) else 2
        toward = -o if self.x == 1 else o
        selected = [
            (sure * 4 + agree) * 4 + min(depth, 3), self.top * 4 + min(depth, 3),
            level(o, 128, 16) * 16 + level(g, 256, 8),
            self.match_class * 32 + level(toward, 128, 16),
            self.partial, self.hits * 64 + self.bits * 8 + min(depth, 7),
        ]
        return self.referee.mix(inputs, selected * 2, 0)

    # Learning a bit
    def learn(self, kind: str, bit: int, opinion: int | None) -> None:
        if kind == TOKEN_END:
            self.token_end.learn(bit)
        elif kind == ESCAPE:
            self.escape.learn(bit)
            self.place.escaped = (self.place.escaped << 1 | bit) & 255
        else:
            super().learn(kind, bit, opinion)

    # Tokens
    def begin_token(self, total: int) -> None:
        place = self.place
        self.history.token_ended[(place.position - 1) % self.history.size] = 1
        place.token_begin = place.position
        place.previous_hash, place.token_hash = place.token_hash, 0
        t = min(2**48 // total, 2**24 - 1)
        self.top = clamp(stretch(t) + 2048, 0, 4095) // 256

    # Events
    def pointed(self) -> tuple[int, int, int]:
        """there, next and class"""
        for model, match in zip(self.matches, self.place.matches):
            if match.pointer is not None:
                there = 1 + self.history.token_ended[(match.pointer - 1) % self.history.size]
                return there, self.history.at(match.pointer), model.class_of(self.place)
        return 0, 256, 0
    def token_end_probability(self, p: int) -> int:
        place, o = self.place, stretch(p)
        depth = place.position - place.token_begin
        there, next_byte, match_class = self.pointed()
        bucket = (o >> 7) + 32
        hashes = [
            place.token_hash, combine(place.token_hash, place.previous_hash),
            combine(int.from_bytes(place.R[1:4], "little"), depth),
            combine(bucket, min(depth, 15)), combine(there << 8 | match_class, bucket >> 3),
            combine(next_byte, combine(place.token_hash, there)),
        ]
        return self.token_end.probability(hashes, min(depth, 15) * 4 + there, o)
    def escape_probability(self) -> int:
        escaped, (c1, c2), (_, next_byte, _) = self.place.escaped, self.place.R[1:3], self.pointed()
        hashes = [0, escaped, c1, c1 | c2 << 8, next_byte, combine(escaped & 3, c1)]
        return self.escape.probability(hashes, escaped & 63, -2048)

    # Raw bytes
    def raw(self, data: bytes) -> None:
        for byte in data:
            self.complete(byte)
            self.histories.look_up(self.place)

def level(v: int, s: int, h: int) -> int:
    return clamp(divide(v, s), -h, h - 1) + h

class Event:
    def __init__(self):
        self.arrays = [Counters(2**15) for _ in range(6)]
        self.mixer = Mixer([2**20] + [0] * 13, [64, 64, 1], (150, 1000), 1, (60, 300))
    def probability(self, hashes: list[int], small: int, o: int) -> int:
        self.numbers, inputs = [], [o, 256]
        for counters, h in zip(self.arrays, hashes):
            number = (((h ^ (h >> 15)) * 0x2C1B3C6D) & MASK32) >> 17
            self.numbers.append(number)
            inputs += counters.inputs(number) if counters.n[number] else (0, 0)
        return squash(self.mixer.mix(inputs, [small, clamp((o >> 6) + 32, 0, 63), 0], 0))
    def learn(self, bit: int) -> None:
        self.mixer.learn(bit)
        for counters, number in zip(self.arrays, self.numbers):
            counters.update(number, bit, 255)

# The light experts
class LightExperts(ByteExperts):
    def __init__(self):
        history = History(2**22)
        super().__init__(6, 24, history, [MatchModel(0, 7, 18, history, own=False)])
        self.mixer = Mixer([81920] * 16, [48, 256], (300, 1700), 256, (100, 1000))
        self.maps = [ProbabilityMap()]
    def compute_contexts(self, byte: int) -> None:
        place = self.place
        place.word[0] = extend_word(place.word[0], byte)
        l4, l6 = (int.from_bytes(place.R[i:j], "little") for i, j in ((1, 5), (5, 7)))
        values = [l4 & 0xFF, l4 & 0xFFFF, l4 & 0xFFFFFF, l4]
        values += [combine(l4, l6), combine(place.word[0], l4 & 0xFF)]
        hashes = [combine(i + 1, value) * 0x2545F491 & MASK32 for i, value in enumerate(values)]
        place.context_hashes = hashes
    def probability(self, kind: str, opinion: int | None) -> int:
        inputs = self.gather()
        selected = [self.match_class * 3 + self.x, self.B(1)]
        z = self.mixer.mix(inputs, selected, self.partial)
        a = self.maps[0].refine(clamp(z >> 4, -4095, 4095), self.B(1) << 8 | self.partial)
        return (squash(z) + a) // 2

# No experts
class NoExperts:
    def __init__(self):
        self.bit_counters, self.escape_counter = Counters(256), Counters(1, 2**12, 30)
        self.partial, self.place = 1, None
    def new_place(self, position: int) -> None: ...
    def probability(self, kind: str, opinion: int | None) -> int:
        if opinion is not None:
            return opinion
        if kind == ESCAPE:
            return self.escape_counter.probability(0)
        return self.bit_counters.probability(self.partial)
    def learn(self, kind: str, bit: int, opinion: int | None) -> None:
        if kind == ESCAPE:
            self.escape_counter.update(0, bit, 60)
        elif kind == BIT:
            self.bit_counters.update(self.partial, bit, 60)
            self.partial = self.partial << 1 | bit if self.partial < 128 else 1
    def learn_certain(self, bit: int) -> None:
        self.learn(BIT, bit, None)
    def begin_token(self, total: int) -> None: ...
    def raw(self, data: bytes) -> None: ...

# Output bias
def learn_bias(bias: Integers, row: int, m: Integers, own: bool) -> None:
    """bias: [vocab], changed in place."""
    rate = 9455 if own else 4727
    unit = (rate << 32) // int(m[-1])
    np.maximum(bias - ((np.diff(m) * unit) >> 32), -(2**20), out=bias)
    bias[row] = min(bias[row] + rate, 2**20)

def learn_round(biases: list[Integers], tokens: list[tuple[int, int, Integers]]) -> None:
    """Learning by rounds. A token has the number of its stream, its row and its m."""
    total = np.zeros_like(biases[0])
    for _, row, m in tokens:
        total += (np.diff(m) * ((9455 << 32) // int(m[-1]))) >> 32
        total[row] -= 9455
    for bias in biases:
        np.clip(bias - (total >> (log2(len(biases) - 1) - 3)), -(2**20), 2**20, out=bias)
    for stream, row, m in tokens:
        learn_bias(biases[stream], row, m, own=True)

# Recall
F, power = [], 2**62
for _ in range(256):
    F.append(power >> 32)
    power = (power * 4599216278082138665) >> 62

def exp(x: int) -> int:
    return 0 if x >> 16 > 16 else F[(x >> 8) & 255] >> (14 + (x >> 16))

@dataclass
class Recalled:
    """What recall finds before a token."""
    state: Integers
    scale: int
    last: int
    m: Integers
    kind: int
    weights: dict[int, int]  # of the followers

class Recall:
    def __init__(self, hidden: int, inputs: int):
        self.capacity = 2 ** log2(clamp(24 * 2**20 // hidden, 1, 2**17))
        self.seen, self.latest = 0, [0] * inputs
        # Of each token that is kept: state, scale, row, and what `latest` had before it.
        self.kept: dict[int, tuple[Integers, int, int, int]] = {}
        self.trust, self.count = [2**28] * 32, [0] * 32
    def before_token(self, state: Integers, last: int, m: Integers) -> Recalled:
        """state: [hidden], m: [vocab + 1]"""
        root = math.isqrt(int(state @ state) << 16)
        scale = min(2**32 // max(root, 1), 2**24)
        rows, cosines, n = [], [], self.latest[last]
        while n > 0 and self.seen - n < self.capacity and len(rows) < 128:
            kept_state, kept_scale, row, n = self.kept[n]
            rows.append(row)
            cosines.append((int(state @ kept_state) * (kept_scale * scale)) >> 32)
        most = max(cosines, default=0)
        scores: dict[int, int] = {}
        for row, cosine in zip(rows, cosines):
            scores[row] = scores.get(row, 0) + exp(70 * (most - cosine))
        kind = (clamp(most, 0, 65535) * 32) >> 16
        weights: dict[int, int] = {}
        if scores:
            t = clamp(self.trust[kind] >> 18, 32, 15872)
            given = int(m[-1]) * t // (2**14 - t)
            each = (given << 14) // sum(scores.values())
            weights = {row: (each * score) >> 14 for row, score in scores.items() if score}
        return Recalled(state, scale, last, m, kind, weights)
    def after_token(self, recalled: Recalled, row: int) -> None:
        kind, m = recalled.kind, recalled.m
        if recalled.weights:
            w, v = recalled.weights.get(row, 0), int(m[row + 1] - m[row])
            part = min((w << 14) // (w + v), 2**14 - 1) << 18
            self.count[kind] = min(self.count[kind] + 1, 255)
            self.trust[kind] += divide((part - self.trust[kind]) * 2, self.count[kind] + 3)
        self.seen += 1
        last = recalled.last
        self.kept[self.seen] = (recalled.state, recalled.scale, row, self.latest[last])
        self.kept.pop(self.seen - self.capacity, None)
        self.latest[last] = self.seen
