"""Turns a packed model back into a checkpoint: unpack.py PACKED SIZE OUT

Writes OUT/SIZE/last.pt and OUT/tokenizer.json. The int8 levels times their scales become f32 weights.
`ladder.py prepare --tokenizer OUT/tokenizer.json` makes tokens for the model, and `ladder.py train --from OUT`
begins from its weights; the optimisers start anew.
"""

import argparse
import json
import pathlib
import struct
from dataclasses import replace

import numpy as np
import torch
from tokenizers import Tokenizer

from data import token_bytes, tokenizer_of_merges
from model import SIZES, Config, Llama

GROUP, TILE = 64, 16


class Packed:
    def __init__(self, path):
        self.file = np.fromfile(path, dtype=np.uint8)
        (length,) = struct.unpack("<Q", self.file[:8].tobytes())
        self.header = json.loads(self.file[8 : 8 + length].tobytes())
        self.data = self.file[8 + length :]

    def raw(self, name, dtype):
        begin, end = self.header[name]["data_offsets"]
        return self.data[begin:end].view(dtype)

    def vector(self, name):
        return torch.from_numpy(self.raw(name, np.float32).copy())

    def matrix(self, name, rows, columns):
        """f32 [rows, columns]; the tile layout is that of src/packed/quantize.rs."""
        padded = -(-columns // GROUP) * GROUP
        tiles = self.raw(name + ".weight", np.uint8).reshape(-1, padded // 4, TILE, 4)
        levels = tiles.transpose(0, 2, 1, 3).reshape(-1, padded)[:rows, :columns].astype(np.float32) - 128
        return torch.from_numpy(levels * self.raw(name + ".scale", np.float32)[:rows, None])

    def windows(self) -> dict[str, int]:
        """`local` and `far` of the model's `Config`."""
        config = json.loads(self.header["__metadata__"]["llmzip"])
        local = config.get("block", {}).get("local", {"window": 0, "layers": []})
        far = [layer for layer in range(config["layers"]) if layer not in local["layers"]]
        assert not local["window"] or len(far) == 1, "one layer sees the whole context"
        return {"local": local["window"], "far": far[-1]}

    def tokens(self) -> list[bytes]:
        """The bytes of each output row. Rows are sorted by them."""
        spelled, ends = self.raw("token.bytes", np.uint8).tobytes(), self.raw("token.offsets", np.uint32).tolist()
        return [spelled[begin:end] for begin, end in zip(ends, ends[1:])]

    def tokenizer(self) -> Tokenizer:
        rows = self.tokens()
        merges = self.raw("token.merges", np.uint32).reshape(-1, 2).tolist()
        return tokenizer_of_merges([(rows[a], rows[b]) for a, b in merges])


def weights(packed: Packed, c: Config, tokenizer: Tokenizer) -> dict[str, torch.Tensor]:
    """As `Llama` names them, f32."""
    row_of = {token: row for row, token in enumerate(packed.tokens())}
    row_of[b""] = len(row_of)  # the separator, which is an input only
    rows = [row_of[token] for token in token_bytes(tokenizer)]
    found = {"model.embed_tokens.weight": packed.matrix("embed", c.vocab, c.hidden)[rows]}
    found["model.norm.weight"] = packed.vector("final_norm.weight")
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    for i in range(c.layers):
        name, here = f"model.layers.{i}.", f"layer.{i}."
        joined = packed.matrix(here + "qkv", q + 2 * kv, c.hidden).split([q, kv, kv])
        for part, matrix in zip("qkv", joined):
            found[f"{name}self_attn.{part}_proj.weight"] = matrix
        found[name + "self_attn.o_proj.weight"] = packed.matrix(here + "out", c.hidden, q)
        gate, up = packed.matrix(here + "gate_up", 2 * c.intermediate, c.hidden).chunk(2)
        found[name + "mlp.gate_proj.weight"], found[name + "mlp.up_proj.weight"] = gate, up
        found[name + "mlp.down_proj.weight"] = packed.matrix(here + "down", c.hidden, c.intermediate)
        found[name + "input_layernorm.weight"] = packed.vector(here + "attn_norm.weight")
        found[name + "post_attention_layernorm.weight"] = packed.vector(here + "ffn_norm.weight")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packed")
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    packed = Packed(args.packed)
    tokenizer = packed.tokenizer()
    config = replace(SIZES[args.size], vocab=tokenizer.get_vocab_size(), **packed.windows())
    model = Llama(config)
    model.load_state_dict(weights(packed, config, tokenizer))
    (args.out / args.size).mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(args.out / "tokenizer.json"))
    saved = {"model": model.state_dict(), "step": 0, "seen": 0, "size": args.size, "config": config.as_dict()}
    torch.save(saved, args.out / args.size / "last.pt")


if __name__ == "__main__":
    main()
