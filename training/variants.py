"""Shapes that `ladder.py ablate` compares with the Llama of model.py.

A variant costs the decoder as many multiplications a byte as the Llama: what it saves elsewhere its MLP gets, and what
it spends its MLP gives back. Multiplications a token are counted as

    layers:    every matrix once
    attention: 2 x heads x head size x keys, with all keys that the layer attends to in a context of 1,024
    logits:    vocabulary x hidden size; with two levels, (classes + tokens of one class) x hidden size

and divided by the mean bytes of a token. Table lookups and additions are not counted.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from data import token_bytes
from model import Config, Llama

WINDOW = 1024
MLP_STEP = 16  # intermediate sizes are multiples of this


@dataclass(frozen=True)
class Shape:
    """What differs from the Llama."""

    about: str
    bigram_rows: int = 0
    value_rows: bool = False
    squared: bool = False
    prefix: int = 0
    classes: int = 0
    wide: bool = False
    expert: bool = False


VARIANTS = {
    "llama": Shape("the baseline"),
    "bigram-16k": Shape("16,384 rows added to the input, chosen by the hash of two tokens", bigram_rows=16_384),
    "bigram-32k": Shape("32,768 such rows", bigram_rows=32_768),
    "squared": Shape("MLP with two matrices and the square of a leaky ReLU (0.5)", squared=True),
    "value-rows": Shape(
        "a row for each token added to the values of every layer, with a learned scale", value_rows=True
    ),
    "prefix": Shape("8 learned vectors before the first token, which local layers see only at first", prefix=8),
    "two-level": Shape("class, then token: logits of 64 classes and of one class", classes=64),
    "two-level-wide": Shape("the same with twice the vocabulary, 128 classes", classes=128, wide=True),
    "expert": Shape("trained beside the expert of expert.py", expert=True),
}


def multiplications(c: Config, s: Shape) -> int:
    """A token's multiplications when decoding."""
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    matrices = c.hidden * (2 * q + 2 * kv) + (2 if s.squared else 3) * c.hidden * c.intermediate
    wide = replace(c, context=WINDOW + s.prefix)
    keys = sum(wide.window(layer) for layer in range(c.layers))
    logits = s.classes + -(-c.vocab // s.classes) if s.classes else c.vocab
    return c.layers * matrices + 2 * q * keys + logits * c.hidden


def at_equal_time(base: Config, s: Shape, vocab: int, bytes_ratio: float) -> Config:
    """The variant's configuration: its intermediate size makes a byte cost the same as with `base`.

    `bytes_ratio` is the bytes a token of the variant over those of the base."""
    budget = multiplications(base, VARIANTS["llama"]) * bytes_ratio
    c = replace(base, vocab=vocab, intermediate=0)
    each = multiplications(replace(c, intermediate=1), s) - multiplications(c, s)
    steps = round((budget - multiplications(c, s)) / each / MLP_STEP)
    return replace(c, intermediate=max(1, steps) * MLP_STEP)


class SquaredMLP(nn.Module):
    """down(leaky_relu(up(x))^2)"""

    def __init__(self, c: Config):
        super().__init__()
        self.up_proj = nn.Linear(c.hidden, c.intermediate, bias=False)
        self.down_proj = nn.Linear(c.intermediate, c.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.leaky_relu(self.up_proj(x), 0.5).square())


class Variant(Llama):
    """A Llama with the parts that its shape asks for. Tables have `embed` in their names."""

    def __init__(self, c: Config, s: Shape, class_of: np.ndarray | None = None):
        super().__init__(replace(c, context=c.context + s.prefix))
        self.s = s
        if s.squared:
            for layer in self.model.layers:
                layer.mlp = SquaredMLP(c)
        if s.bigram_rows:
            self.bigram_embed = nn.Parameter(torch.zeros(s.bigram_rows, c.hidden))
        if s.value_rows:
            self.value_embed = nn.Parameter(0.05 * torch.randn(c.vocab, c.kv_heads * c.head_dim))
            self.value_scale = nn.Parameter(0.5 * torch.ones(c.layers))
        if s.prefix:
            self.prefix_embed = nn.Parameter(0.05 * torch.randn(s.prefix, c.hidden))
        if s.classes:
            self.add_classes(class_of)
        self.initialise()

    def add_classes(self, class_of):
        """class_of [vocab]; `members` lists the tokens of each class, -1 after the last."""
        members = np.full((self.s.classes, np.bincount(class_of).max()), -1)
        place = np.zeros_like(class_of)
        for token, k in enumerate(class_of):
            place[token] = np.sum(class_of[:token] == k)
            members[k, place[token]] = token
        for name, table in (("class_of", class_of), ("place", place), ("members", members)):
            self.register_buffer(name, torch.from_numpy(table).long(), persistent=False)
        self.class_proj = nn.Linear(self.c.hidden, self.s.classes, bias=False)

    def hashed(self, ids):
        """Row of each token and the one before it; [batch, position]"""
        before = F.pad(ids[:, :-1], (1, 0))
        return (before * 40_503 + ids * 2_654_435_761) % 4_294_967_291 % self.s.bigram_rows

    def hidden(self, ids):
        """[batch, position] -> [batch, position, hidden]"""
        s, prefix = self.s, self.s.prefix
        x = self.model.embed_tokens(ids)
        if s.bigram_rows:
            x = x + self.bigram_embed[self.hashed(ids)]
        values = self.value_embed[ids] if s.value_rows else None
        if prefix:
            x = torch.cat((self.prefix_embed.expand(len(ids), -1, -1), x), 1)
        t = x.shape[1]
        for i, layer in enumerate(self.model.layers):
            x = layer(x, self.cos[:t], self.sin[:t], values * self.value_scale[i] if s.value_rows else None)
        return self.model.norm(x[:, prefix:])

    def logits(self, ids):
        return F.linear(self.hidden(ids), self.model.embed_tokens.weight)

    def forward(self, ids, targets, reduction="mean"):
        """Cross-entropy in nats of `targets` [batch, position]; a target of -1 is not counted."""
        return self.two_levels(ids, targets, reduction) if self.s.classes else super().forward(ids, targets, reduction)

    def two_levels(self, ids, targets, reduction):
        """-log p(class) - log p(token | class). Training computes all logits; a decoder needs one class's."""
        x = self.hidden(ids).flatten(0, 1)
        targets = targets.flatten()
        known = targets.clamp_min(0)
        group = self.class_of[known]
        of_class = F.cross_entropy(self.class_proj(x).float(), group, reduction="none")
        members = self.members[group]  # [n, size]
        logits = F.linear(x, self.model.embed_tokens.weight).float().gather(1, members.clamp_min(0))
        in_class = F.cross_entropy(logits.masked_fill(members < 0, float("-inf")), self.place[known], reduction="none")
        nats = (of_class + in_class) * (targets >= 0)
        return nats.sum() if reduction == "sum" else nats.sum() / (targets >= 0).sum()


def classes_by_bytes(tokenizer, classes: int) -> np.ndarray:
    """Class of each token: equal runs of the vocabulary sorted by bytes, the ranges that the coder needs."""
    spelled = token_bytes(tokenizer)
    order = sorted(range(len(spelled)), key=lambda i: spelled[i])
    class_of = np.zeros(len(spelled), dtype=np.int64)
    class_of[order] = np.arange(len(spelled)) * classes // len(spelled)
    return class_of


def packed_bytes(model: nn.Module) -> int:
    """int8 matrices and tables with an f32 scale a row; vectors are f32."""
    return sum(p.numel() + 4 * p.shape[0] if p.ndim == 2 else 4 * p.numel() for p in model.parameters())
