"""Turns a packed model back into a checkpoint: unpack.py PACKED TOKENIZER.json SIZE SEEN OUT.pt

The int8 levels times their scales become f32 weights. As OUT/SIZE/last.pt the checkpoint is one that
`ladder.py train --from OUT` begins from; the optimisers then start anew. SEEN is the number of tokens the
model was trained on. TOKENIZER.json must be the model's own: its token bytes are compared.
"""

import argparse
import json
import struct

import numpy as np
import torch
from tokenizers import Tokenizer

from data import token_bytes
from model import SIZES, Llama

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

    def matrix(self, name, rows, columns):
        """f32 [rows, columns]; the tile layout is that of src/packed/quantize.rs."""
        padded = -(-columns // GROUP) * GROUP
        tiles = self.raw(name + ".weight", np.uint8).reshape(-1, padded // 4, TILE, 4)
        levels = tiles.transpose(0, 2, 1, 3).reshape(-1, padded)[:rows, :columns].astype(np.float32) - 128
        return torch.from_numpy(levels * self.raw(name + ".scale", np.float32)[:rows, None])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packed")
    parser.add_argument("tokenizer")
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("seen", type=float)
    parser.add_argument("out")
    args = parser.parse_args()
    packed, c = Packed(args.packed), SIZES[args.size]
    tokenizer = Tokenizer.from_file(args.tokenizer)
    spelled = token_bytes(tokenizer)
    # Output rows are the spelled tokens sorted by bytes; the separator follows as an input row.
    order = sorted((i for i, b in enumerate(spelled) if b), key=lambda i: spelled[i])
    order += [i for i, b in enumerate(spelled) if not b]
    assert packed.raw("token.bytes", np.uint8).tobytes() == b"".join(spelled[i] for i in order), "another tokenizer"
    embedding = torch.empty(c.vocab, c.hidden)
    embedding[order] = packed.matrix("embed", c.vocab, c.hidden)
    weights = {"model.embed_tokens.weight": embedding, "model.norm.weight": packed.raw("final_norm.weight", np.float32)}
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    for i in range(c.layers):
        name, here = f"model.layers.{i}.", f"layer.{i}."
        joined = packed.matrix(here + "qkv", q + 2 * kv, c.hidden).split([q, kv, kv])
        for part, matrix in zip("qkv", joined):
            weights[f"{name}self_attn.{part}_proj.weight"] = matrix
        weights[name + "self_attn.o_proj.weight"] = packed.matrix(here + "out", c.hidden, q)
        gate, up = packed.matrix(here + "gate_up", 2 * c.intermediate, c.hidden).chunk(2)
        weights[name + "mlp.gate_proj.weight"], weights[name + "mlp.up_proj.weight"] = gate, up
        weights[name + "mlp.down_proj.weight"] = packed.matrix(here + "down", c.hidden, c.intermediate)
        weights[name + "input_layernorm.weight"] = packed.raw(here + "attn_norm.weight", np.float32)
        weights[name + "post_attention_layernorm.weight"] = packed.raw(here + "ffn_norm.weight", np.float32)
    weights = {k: torch.as_tensor(np.array(v)).float().contiguous() for k, v in weights.items()}
    Llama(c).load_state_dict(weights)
    saved = {"model": weights, "step": 0, "seen": int(args.seen), "size": args.size, "config": c.as_dict()}
    torch.save(saved, args.out)


if __name__ == "__main__":
    main()
