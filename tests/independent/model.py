"""The language model: docs/NUMERICS.md, and docs/MODELS.md, "The packed file".

NumPy rounds each `+ - * /` and square root of float32 by itself, ties to even, as NUMERICS.md
demands in section 1. Products of matrices are sums of integers, which floats hold exactly, so that
their order does not matter. Rows are computed one at a time.
"""

import json
from collections.abc import Callable
import blake3
import numpy as np
from numpy.typing import NDArray

F32 = np.float32
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Tensors = dict[str, NDArray]  # of the packed file, by name
Change = Callable[[Floats], Floats]  # of a row

# MODELS.md, "The packed file": the fields of its objects, with the defaults of those that may be
# absent (`...` for others). The tensors themselves tell which norms and biases there are.
CONFIGURATION = dict.fromkeys("""arch hidden layers heads kv_heads head_dim intermediate vocab
    inputs bos norm_eps group qk_norm attention_bias tied window sinks parameters
    pre_tokenizer""".split(), ...) | {"segmentation": {}, "block": {}}
BLOCK = dict.fromkeys("""norm norms parallel joint_qk_norm out_bias feed_forward_bias head_bias
    ungated attention_gate""".split(), False) | {"activation": "silu", "score_cap": 0,
    "logit_cap": 0, "positions": 0, "local": {}, "mixture": None, "recurrent": None,
    "unrotated": [], "wide": {}}
LOCAL = {"window": 0, "layers": [], "own_steps": False}
MIXTURE = {"count": ..., "used": ..., "normalised": False, "shared": 0}
RECURRENT = dict.fromkeys("layers key_heads value_heads key_dim value_dim taps".split(), ...)
WIDE = dict.fromkeys(["qkv", "queries", "out", "gate_up", "down", "head"], False)
def completed(given: dict, fields: dict) -> dict:
    """The object with the defaults of fields that are absent."""
    result = fields | given
    if result.keys() != fields.keys() or ... in result.values():
        raise ValueError(f"a field is unknown or missing among {', '.join(given)}")
    return result

# NUMERICS.md, 1. Arithmetic
def constants(*bits: int) -> list[np.float32]:
    return list(np.array(bits, np.uint32).view(F32))
LOG2_E, TINY, RADIANS = constants(0x3FB8AA3B, 0x0DA24260, 0x30C90FDB)
ONE_127TH, LOG2_E_65536, MILLIONTH = constants(0x3C010204, 0x47B8AA3B, 0x358637BD)
ONE = F32(1)
def bounded(x: Floats, low: float, high: float) -> Floats:
    return np.minimum(np.maximum(x, F32(low)), F32(high))
def striped_sum(values: Floats) -> np.float32:
    padded = np.zeros((len(values) + 15) // 16 * 16, F32)  # adding 0 changes no sum
    padded[: len(values)] = values
    stripes = np.zeros(16, F32)
    for row in padded.reshape(-1, 16):
        stripes = stripes + row
    for half in (8, 4, 2, 1):
        stripes = stripes[:half] + stripes[half : 2 * half]
    return stripes[0]

# NUMERICS.md, 2. Elementary functions
E = constants(0x3F317218, 0x3E75FDF0, 0x3D635768, 0x3C1D94D5, 0x3AAFA3D8, 0x392247E0)
S = constants(0xBE2AAAA0, 0x3C0882DA, 0xB94C6D33)
C = constants(0xBF000000, 0x3D2AAA9F, 0xBAB6043F, 0x37CC9A18)
T = constants(0x3E027906, 0xBE11A98E, 0x3F35F0E3, 0xBF3A00E3, 0x3F07DC22)
L = constants(0x40000000, 0x3F2AAA80, 0x3ECCE93E, 0x3E8F5B09, 0x3E8F7C38)
GELU, HALF_LOG2_E, TANH_1, TANH_3 = constants(0x3E6D3388, 0x3F38AA3B, 0x3FCC422A, 0x3D922279)
def p(coefficients: list[np.float32], x: Floats) -> Floats:
    result = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result

def exp2(x: Floats) -> Floats:
    n = np.rint(x)
    f = x - n
    return np.ldexp(p(E, f) * f + ONE, n.astype(np.int32))
def exp2_or_zero(x: Floats) -> Floats:
    return np.where(x < F32(-64), F32(0), exp2(np.maximum(x, F32(-64))))
def sigmoid(x: Floats) -> Floats:
    return ONE / (ONE + exp2(bounded(x * -LOG2_E, -125, 125)))
def softplus(x: Floats) -> Floats:
    t = exp2_or_zero(np.abs(x) * -LOG2_E)
    s = t / (F32(2) + t)
    return np.maximum(x, F32(0)) + p(L, s * s) * s
def capped(x: Floats, cap: np.float32) -> Floats:
    return cap * (F32(2) * sigmoid(F32(2) * (x / cap)) - ONE)
def gelu(x: Floats) -> Floats:
    t = ONE / (ONE + np.abs(x) * GELU)
    tail = (p(T, t) * t) * exp2_or_zero((x * x) * -HALF_LOG2_E)
    return np.where(x < 0, x * tail, x * (ONE - tail))
def gelu_tanh(x: Floats) -> Floats:
    return x * sigmoid(x * (TANH_1 + TANH_3 * (x * x)))
def cos_sin(phase: NDArray[np.uint64]) -> tuple[Floats, Floats]:
    quarter = (phase + np.uint64(1 << 61)) >> np.uint64(62)
    rest = (phase - (quarter << np.uint64(62))).view(np.int64)
    a = (rest >> 32).astype(F32) * RADIANS
    s = a * a
    sine = ((p(S, s) * s) * a) + a
    cosine = p(C, s) * s + ONE
    quarter = quarter.astype(np.int64)
    cos = np.choose(quarter, [cosine, -sine, -cosine, sine])
    return cos, np.choose(quarter, [sine, cosine, -sine, -cosine])

# NUMERICS.md, 3. Quantisation of activations
def quantise_groups(x: Floats) -> tuple[Floats, Floats]:
    """x: [..., n]. Levels [..., n] and scale [...] of each group, which is the last axis."""
    largest = np.max(np.abs(x), axis=-1, keepdims=True)
    tiny = largest < TINY
    factors = F32(127) / np.where(tiny, ONE, largest)
    levels = np.where(tiny, F32(0), np.rint(bounded(x * factors, -127, 127)))
    return levels, np.where(tiny, F32(0), largest * ONE_127TH)[..., 0]

def quantised(x: Floats) -> tuple[Floats, Floats]:
    """x: [n]. Levels [ceil(n / 64), 64], padded with zeros, and scales [ceil(n / 64)]."""
    return quantise_groups(np.pad(x, (0, -len(x) % 64)).reshape(-1, 64))
def left_over(x: Floats) -> Floats:
    levels, scales = quantised(x)
    return x - (levels * scales[:, None]).reshape(-1)[: len(x)]

# NUMERICS.md, 4. Products
def product(weights: Floats, levels: Floats, scales: Floats, row_scales: Floats) -> Floats:
    """weights: [groups, rows, 64], levels: [groups, 64], scales: [groups], row_scales: [rows]."""
    # The partial sums of a group are integers below 2^24, which float32 holds exactly.
    total = np.zeros(weights.shape[1], F32)
    for group_weights, group_levels, scale in zip(weights, levels, scales):
        total = total + (group_weights @ group_levels) * scale
    return total * row_scales
class Matrix:
    """A matrix of the packed file: MODELS.md, "The packed file"."""
    def __init__(self, tensors: Tensors, name: str, rows: int, columns: int, wide: bool = False,
                 part: int = 0):
        """Rows `part * rows` to `(part + 1) * rows - 1`; the matrix may have more."""
        groups = (columns + 63) // 64
        # [tiles, groups, 16 of 4 columns, 16 rows, 4 columns] to [groups, tiles, rows, columns]
        levels = tensors[f"{name}.weight"].reshape(-1, groups, 16, 16, 4)
        levels = levels.transpose(1, 0, 3, 2, 4).reshape(groups, -1, 64)
        which = slice(part * rows, (part + 1) * rows)
        self.levels = levels[:, which].astype(F32) - F32(128)  # [groups, rows, 64]
        self.scales = tensors[f"{name}.scale"][which]
        self.bias = tensors.get(f"{name}.bias")
        self.columns, self.wide = columns, wide
    def times(self, x: Floats) -> Floats:
        """The product with `quantised(x)`. x: [columns], result: [rows]."""
        result = product(self.levels, *quantised(x), self.scales)
        if self.wide:
            result = result + product(self.levels, *quantised(left_over(x)), self.scales)
        return result if self.bias is None else result + self.bias
    def row(self, number: int) -> Floats:
        """[columns]"""
        return self.levels[:, number].reshape(-1)[: self.columns] * self.scales[number]

# NUMERICS.md, 5. One pass
def norm(tensors: Tensors, name: str, eps: float) -> Change:
    """norm(x, w): of kind `layer` if there is a bias, and nothing if there is no tensor."""
    weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    def normed(x: Floats) -> Floats:
        n = F32(len(x))
        d = x if bias is None else x - striped_sum(x) / n
        r = ONE / np.sqrt(striped_sum(d * d) / n + F32(eps))
        return (d * r) * weight if bias is None else (d * r) * weight + bias
    return (lambda x: x) if weight is None else normed
ACTIVATIONS: dict[str, Change] = {
    "silu": lambda g: g * sigmoid(g), "gelu": gelu, "gelu_tanh": gelu_tanh,
    "relu": lambda g: np.maximum(g, F32(0)),
    "relu_squared": lambda g: np.square(bounded(g, 0, 2.0**30)),
}
# NUMERICS.md, 10. Recurrence
class Recurrence:
    def __init__(self, tensors: Tensors, name: str, c: dict):
        fields = "key_heads", "value_heads", "key_dim", "value_dim", "taps"
        self.hk, self.hv, self.k, self.v, taps = (c["recurrent"][field] for field in fields)
        keys, values = self.hk * self.k, self.hv * self.v
        rows = [2 * keys + values, self.hv, self.hv, values]
        self.ends = np.cumsum(rows)[:-1]
        self.inputs = Matrix(tensors, f"{name}.recurrent_in", sum(rows), c["hidden"],
                             c["wide"]["qkv"])
        self.out = Matrix(tensors, f"{name}.recurrent_out", c["hidden"], values,
                          c["wide"]["out"])
        self.conv = tensors[f"{name}.recurrent_conv.weight"].reshape(rows[0], taps)
        self.rate = tensors[f"{name}.recurrent_rate.weight"]
        self.shift = tensors[f"{name}.recurrent_shift.weight"]
        norm_only = {"w.weight": tensors[f"{name}.recurrent_norm.weight"]}
        self.norm = norm(norm_only, "w", c["norm_eps"])
    def start(self) -> "RecurrentState":
        """What is known before the stream: the last T - 1 rows of channels, and each S."""
        rows = np.zeros((self.conv.shape[1] - 1, self.conv.shape[0]), F32)
        return rows, np.zeros((self.hv, self.k, self.v), F32)
    def step(self, state: "RecurrentState", h: Floats) -> tuple[Floats, "RecurrentState"]:
        """h: [hidden]. The result has as many values, and the next state."""
        before, matrices = state
        c, learning, decay, z = np.split(self.inputs.times(h), self.ends)
        rows = np.concatenate([before, c[None]])
        s = np.zeros(len(c), F32)
        for row, w in zip(rows, self.conv.T):
            s = s + row * w
        u = s * sigmoid(s)
        queries, keys, values = np.split(u, [self.hk * self.k, 2 * self.hk * self.k])
        e = exp2_or_zero((self.rate * -LOG2_E) * softplus(decay + self.shift))
        g = sigmoid(learning)
        outputs, after = [], []
        for n in range(self.hv):
            head = n // (self.hv // self.hk)
            part = slice(head * self.k, (head + 1) * self.k)
            q = self.unit(queries[part]) * (ONE / np.sqrt(F32(self.k)))
            k, v = self.unit(keys[part]), values[n * self.v : (n + 1) * self.v]
            matrix = matrices[n] * e[n]
            d = bounded((v - self.ascending(matrix, k)) * g[n], -(2.0**60), 2.0**60)
            matrix = matrix + k[:, None] * d
            y = self.norm(self.ascending(matrix, q))
            gate = z[n * self.v : (n + 1) * self.v]
            outputs.append(y * (gate * sigmoid(gate)))
            after.append(matrix)
        return self.out.times(np.concatenate(outputs)), (rows[1:], np.stack(after))
    def unit(self, x: Floats) -> Floats:
        return x * (ONE / np.sqrt(striped_sum(x * x) + MILLIONTH))
    def ascending(self, matrix: Floats, x: Floats) -> Floats:
        """The sum of the rows of `matrix`, each times its value of x, in order."""
        total = np.zeros(matrix.shape[1], F32)
        for row, factor in zip(matrix, x):
            total = total + row * factor
        return total
RecurrentState = tuple[Floats, Floats]

class Layer:
    def __init__(self, tensors: Tensors, number: int, model: "Model"):
        c, name = model.configuration, f"layer.{number}"
        hidden, intermediate, wide = c["hidden"], c["intermediate"], c["wide"]
        attended, heads = c["heads"] * c["head_dim"], c["heads"] + 2 * c["kv_heads"]
        gate_up = intermediate if c["ungated"] else 2 * intermediate
        recurrent = c["recurrent"] and number in c["recurrent"]["layers"]
        self.recurrence = Recurrence(tensors, name, c) if recurrent else None
        if not recurrent:
            qkv = heads * c["head_dim"] + attended * c["attention_gate"]
            self.qkv = Matrix(tensors, f"{name}.qkv", qkv, hidden, wide["qkv"])
            self.out = Matrix(tensors, f"{name}.out", hidden, attended, wide["out"])
        count = c["mixture"]["count"] + c["mixture"]["shared"] if c["mixture"] else 1
        self.experts = [  # without a mixture, one: the whole block
            (Matrix(tensors, f"{name}.gate_up", gate_up, hidden, wide["gate_up"], expert),
             Matrix(tensors, f"{name}.down", hidden, intermediate, wide["down"], expert))
            for expert in range(count)]
        if c["mixture"]:
            scores = c["mixture"]["count"] + (c["mixture"]["shared"] > 0)
            self.router = tensors[f"{name}.router.weight"].reshape(scores, hidden)
        norms = "attn_norm", "attn_post_norm", "ffn_norm", "ffn_post_norm", "q_norm", "k_norm"
        self.norms = {which: norm(tensors, f"{name}.{which}", c["norm_eps"]) for which in norms}
        local = number in c["local"]["layers"]
        self.window, self.sinks = (c["local"]["window"], 0) if local else (c["window"], c["sinks"])
        steps = "rope.local_steps" if local and c["local"]["own_steps"] else "rope.steps"
        self.steps = tensors[steps] * np.uint64(number not in c["unrotated"])

class Context:
    """Input rows of the model, and what has been computed from them: FORMAT.md, "State"."""
    def __init__(self, model: "Model"):
        c = model.configuration
        self.rows = [c["bos"] if c["bos"] is not None else 0]
        self.begin = 0  # index of the first row that the last one sees: NUMERICS.md, "Contexts"
        self.computed = 0  # the rows from `begin` to this one, excluded, have been computed
        self.last: Floats | None = None  # h after the final norm, of the last row computed
        # Keys and values: [layer, key or value, head, position, element]; the scales of each head.
        self.levels = np.zeros((c["layers"], 2, c["kv_heads"], 64, c["head_dim"]), F32)
        self.scales = np.zeros((c["layers"], 2, c["kv_heads"], 64), F32)
        self.recurrent = [layer.recurrence and layer.recurrence.start() for layer in model.layers]
    def make_room(self, position: int) -> None:
        if position == self.scales.shape[3]:
            self.levels = np.concatenate([self.levels, np.zeros_like(self.levels)], axis=3)
            self.scales = np.concatenate([self.scales, np.zeros_like(self.scales)], axis=3)

def read_tensors(data: bytes) -> tuple[dict, Tensors]:
    """The configuration, with the fields of its `block`, and the tensors: as Matrix."""
    begin = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:begin])
    c = completed(json.loads(entries.pop("__metadata__")["llmzip"]), CONFIGURATION)
    c |= completed(c["block"], BLOCK)
    c["local"], c["wide"] = completed(c["local"], LOCAL), completed(c["wide"], WIDE)
    if c["mixture"] is not None:
        mixture = c["mixture"] = completed(c["mixture"], MIXTURE)
        if (not 1 <= mixture["used"] <= mixture["count"] <= 1024 - mixture["shared"]
                or mixture["shared"] < 0 or c["norms"] == "after"
                or c["hidden"] % 16 or c["intermediate"] % 16 or c["feed_forward_bias"]):
            raise ValueError("a mixture of experts that is not allowed")
    if c["recurrent"] is not None:
        r = c["recurrent"] = completed(c["recurrent"], RECURRENT)
        sizes = [r["key_heads"], r["value_heads"], r["key_dim"], r["value_dim"], r["taps"]]
        most = [1024, 1024, 256, 256, 8]
        if (any(not 1 <= size <= limit for size, limit in zip(sizes, most)) or c["positions"]
                or r["value_heads"] % r["key_heads"] or c["norms"] == "after"):
            raise ValueError("a recurrence that is not allowed")
    types, tensors = {"U8": "u1", "U32": "<u4", "U64": "<u8", "F32": "<f4"}, {}
    for name, entry in entries.items():
        first, end = entry["data_offsets"]
        values = np.frombuffer(data[begin + first : begin + end], types[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return c, tensors

class Model:
    """A packed model. `tokens[r]` is the bytes of row r."""
    def __init__(self, data: bytes):
        self.identity = blake3.blake3(data).digest()[:8]
        c, tensors = read_tensors(data)
        self.configuration = c
        self.window, hidden, vocab = c["window"], c["hidden"], c["vocab"]
        self.activation = ACTIVATIONS[c["activation"]]
        offsets, text = tensors["token.offsets"].tolist(), tensors["token.bytes"].tobytes()
        self.tokens = [text[begin:end] for begin, end in zip(offsets, offsets[1:])]
        self.has_all_bytes = {bytes([byte]) for byte in range(256)} <= set(self.tokens)
        self.embed = Matrix(tensors, "embed", c["inputs"], hidden)
        if c["positions"]:
            self.positions = tensors["positions.weight"].reshape(c["positions"], hidden)
        head = "embed" if c["tied"] else "head"
        self.head = Matrix(tensors, head, vocab, hidden, c["wide"]["head"])
        self.final_norm = norm(tensors, "final_norm", c["norm_eps"])
        self.layers = [Layer(tensors, number, self) for number in range(c["layers"])]
        # `top` and b of NUMERICS.md, 6.
        seen = self.window + c["sinks"]
        b = max(b for b in range(1, 15) if seen * 127 * (2**b - 1) < 2**31)
        self.top = F32(2**b - 1)

    # NUMERICS.md, 5. One pass
    def compute(self, context: Context) -> None:
        """Computes the rows that have not been computed, of the context of the last row."""
        last, half = len(context.rows) - 1, self.configuration["positions"] // 2
        begin = ((last - 2 * half) // half + 1) * half if half and last >= 2 * half else 0
        if begin > context.begin:
            context.begin = context.computed = begin
        for index in range(context.computed, last + 1):
            self.compute_row(context, context.rows[index], index - context.begin)
        context.computed = last + 1
    def compute_row(self, context: Context, row: int, position: int) -> None:
        context.make_room(position)
        x = self.embed.row(row)  # [hidden]
        if self.configuration["positions"]:
            x = x + self.positions[position]
        for n, layer in enumerate(self.layers):
            h = layer.norms["attn_norm"](x)
            if layer.recurrence:
                given, context.recurrent[n] = layer.recurrence.step(context.recurrent[n], h)
            else:
                levels, scales = context.levels[n], context.scales[n]
                given = layer.out.times(self.attention(layer, levels, scales, h, position))
            both = x + layer.norms["attn_post_norm"](given)
            h = layer.norms["ffn_norm"](x if self.configuration["parallel"] else both)
            x = both + layer.norms["ffn_post_norm"](self.fed(layer, h))
        context.last = self.final_norm(x)
    def fed(self, layer: Layer, h: Floats) -> Floats:
        def made(expert: int) -> Floats:
            gate_up, down = layer.experts[expert]
            return down.times(self.gated(gate_up.times(h)))
        mixture = self.configuration["mixture"]
        if not mixture:
            return made(0)
        s = np.stack([striped_sum(h * w) for w in layer.router])
        s, shared = s[: mixture["count"]], s[mixture["count"] :]
        taken = np.sort(np.argsort(-s, kind="stable")[: mixture["used"]])
        e = exp2_or_zero((s - np.max(s)) * LOG2_E)
        summed = e[taken] if mixture["normalised"] else e
        total = np.sum(np.rint(summed * F32(1 << 22)).astype(np.int64))
        result = np.zeros(len(h), F32)
        for expert in taken:
            share = e[expert] / (F32(total) * F32(2.0**-22))
            result = result + share * made(expert)
        for piece in range(mixture["shared"]):
            result = result + sigmoid(shared[0]) * made(mixture["count"] + piece)
        return result
    def gated(self, gate_up: Floats) -> Floats:
        """gate_up: g, then u, if there is one. Result: [intermediate]."""
        g, *u = np.split(gate_up, 1 if self.configuration["ungated"] else 2)
        f = self.activation(g)
        return bounded(f * u[0] if u else f, -(2.0**60), 2.0**60)

    # NUMERICS.md, 6. Attention
    def rotate(self, heads: Floats, position: int, steps: NDArray[np.uint64]) -> Floats:
        """heads: [..., head_dim]"""
        cos, sin = cos_sin(np.uint64(position) * steps)
        a, b = np.split(heads, 2, axis=-1)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
    def norm_heads(self, heads: Floats, normed: Change) -> Floats:
        if self.configuration["joint_qk_norm"]:
            return normed(heads.reshape(-1)).reshape(heads.shape)
        return np.stack([normed(head) for head in heads])
    def attention(self, layer: Layer, all_levels: Floats, all_scales: Floats, h: Floats,
                  position: int) -> Floats:
        """Levels and scales are the context's of this layer. Result: [heads * head_dim]."""
        heads, kv_heads = self.configuration["heads"], self.configuration["kv_heads"]
        qkv = layer.qkv.times(h).reshape(-1, self.configuration["head_dim"])
        q, k, v, gates = np.split(qkv, np.cumsum([heads, kv_heads, kv_heads]))
        q, k = self.norm_heads(q, layer.norms["q_norm"]), self.norm_heads(k, layer.norms["k_norm"])
        levels, scales = quantise_groups(np.stack([self.rotate(k, position, layer.steps), v]))
        all_levels[:, :, position], all_scales[:, :, position] = levels, scales

        start = max(0, position - layer.window + 1)
        band = slice(start, position + 1)
        sinks = slice(0, min(layer.sinks, start))  # those that have left the band
        in_band = self.rotate(q, position, layer.steps)
        for_sinks = self.rotate(q, min(position, layer.window + layer.sinks - 1), layer.steps)
        outputs = []
        for head in range(heads):
            kv_head = head // (heads // kv_heads)
            levels, scales = all_levels[:, kv_head], all_scales[:, kv_head]
            band_scores = self.scores(in_band[head], levels[0, band], scales[0, band])
            sink_scores = self.scores(for_sinks[head], levels[0, sinks], scales[0, sinks])
            values = np.concatenate([levels[1, band], levels[1, sinks]])
            value_scales = np.concatenate([scales[1, band], scales[1, sinks]])
            both = np.concatenate([band_scores, sink_scores])
            outputs.append(self.weigh(both, values, value_scales))
        attended = np.concatenate(outputs)
        gated = self.configuration["attention_gate"]
        return attended * sigmoid(gates.reshape(-1)) if gated else attended
    def scores(self, query: Floats, keys: Floats, key_scales: Floats) -> Floats:
        """query: [head_dim], keys: [n, head_dim], key_scales: [n], result: [n]"""
        rows = [query, left_over(query)] if self.configuration["wide"]["queries"] else [query]
        total = np.zeros(len(keys), F32)
        for levels, scales in map(quantised, rows):
            padded = np.pad(keys, ((0, 0), (0, levels.size - len(query))))
            groups = padded.reshape(len(keys), len(scales), 64).transpose(1, 0, 2)
            scales = scales * (LOG2_E / np.sqrt(F32(len(query))))
            total = total + product(groups, levels, scales, key_scales)
        cap = F32(self.configuration["score_cap"])
        return capped(total, cap * LOG2_E) if cap else total
    def weigh(self, scores: Floats, values: Floats, value_scales: Floats) -> Floats:
        """scores: [n], values: [n, head_dim], value_scales: [n], result: [head_dim]"""
        e = exp2_or_zero(scores - np.max(scores))
        total = np.sum(np.rint(e * F32(1 << 22)).astype(np.int64))
        w = e * value_scales
        largest = np.max(w)
        if largest < TINY:
            return np.zeros(values.shape[1], F32)
        u = np.rint(w * (self.top / largest))
        # A sum of up to 31 bits needs float64 to be exact.
        sums = u.astype(np.float64) @ values.astype(np.float64)
        return sums.astype(F32) * ((largest / self.top) / (F32(total) * F32(2.0**-22)))

    # NUMERICS.md, 7. Logits
    def logits(self, context: Context) -> Integers:
        """[vocab], in units of 2^-16 bit. All rows of the context must have been computed."""
        y = self.head.times(context.last)
        cap = F32(self.configuration["logit_cap"])
        y = capped(y, cap) if cap else y
        return np.rint(bounded(y * LOG2_E_65536, -(2.0**29), 2.0**29)).astype(np.int64)
    def state(self, context: Context) -> Integers:
        """[hidden]. All rows of the context must have been computed."""
        return quantise_groups(context.last)[0].astype(np.int64)

# NUMERICS.md, 8. Distribution
def token_weights(biased_logits: Integers) -> Integers:
    """[vocab], each from 1 to 2^24."""
    d = np.maximum(biased_logits - np.max(biased_logits), -40 * 65536)
    n = (d + 32768) >> 16
    f = (d - 65536 * n).astype(F32) * F32(2.0**-16)
    v = np.ldexp(p(E, f) * f + ONE, (n + 24).astype(np.int32))
    return np.maximum(1, np.rint(v).astype(np.int64))
def prefix_sums(weights: Integers) -> Integers:
    """[vocab + 1]: exclusive, with the total at the end."""
    return np.concatenate([[0], np.cumsum(weights)])
