"""The Llama of the built-in models, exactly as Hugging Face's `LlamaForCausalLM` computes it.

Parameter names are the exported ones. RMSNorm, rotary positions (rotate-half), grouped key/value heads,
SwiGLU, no biases, embedding tied to the output.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

ROPE_THETA = 10_000.0
NORM_EPS = 1e-5


@dataclass
class Config:
    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    context: int = 1024

    def hugging_face(self) -> dict:
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": self.context,
            "rope_theta": ROPE_THETA,
            "rope_scaling": None,
            "rms_norm_eps": NORM_EPS,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "torch_dtype": "float32",
        }

    as_dict = asdict


# One family: only the size differs. `toy` is for tests; `fixture` is the model of the program's own tests.
SIZES = {
    "toy": Config(1024, 32, 2, 1, 1, 32, 64),
    "fixture": Config(326, 64, 2, 2, 1, 32, 128),
    "nano": Config(4096, 32, 3, 1, 1, 32, 96),
    "micro": Config(4096, 64, 6, 2, 1, 32, 192),
    "mini": Config(4096, 192, 4, 3, 1, 64, 384),
    "small": Config(4096, 256, 6, 4, 1, 64, 640),
}


class RMSNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        x = x.float()
        return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS))


def rotate(x, cos, sin):
    """x [batch, head, position, head_dim]; cos, sin [position, head_dim]."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


class Attention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.q_proj = nn.Linear(c.hidden, c.heads * c.head_dim, bias=False)
        self.k_proj = nn.Linear(c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.v_proj = nn.Linear(c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.o_proj = nn.Linear(c.heads * c.head_dim, c.hidden, bias=False)

    def forward(self, x, cos, sin, more=None):
        """x [batch, position, hidden]; `more` [batch, position, kv_heads * head_dim] is added to the values."""
        c, (b, t, _) = self.c, x.shape
        q = rotate(self.q_proj(x).view(b, t, c.heads, c.head_dim).transpose(1, 2), cos, sin)
        k = rotate(self.k_proj(x).view(b, t, c.kv_heads, c.head_dim).transpose(1, 2), cos, sin)
        v = self.v_proj(x) if more is None else self.v_proj(x) + more
        v = v.view(b, t, c.kv_heads, c.head_dim).transpose(1, 2)
        group = c.heads // c.kv_heads
        k, v = (a.repeat_interleave(group, 1) for a in (k, v))
        y = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, c.heads * c.head_dim))


class MLP(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden, c.intermediate, bias=False)
        self.up_proj = nn.Linear(c.hidden, c.intermediate, bias=False)
        self.down_proj = nn.Linear(c.intermediate, c.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden)
        self.mlp = MLP(c)

    def forward(self, x, cos, sin, more=None):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, more)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab, c.hidden)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = RMSNorm(c.hidden)


class Llama(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.model = Decoder(c)
        inverse = ROPE_THETA ** (-torch.arange(0, c.head_dim, 2).double() / c.head_dim)
        turns = torch.outer(torch.arange(c.context).double(), inverse).repeat(1, 2)
        self.register_buffer("cos", turns.cos().float(), persistent=False)
        self.register_buffer("sin", turns.sin().float(), persistent=False)
        self.initialise()

    def initialise(self):
        for name, p in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(p)  # every layer begins as the identity
            elif "embed_tokens" in name:
                nn.init.normal_(p, std=0.05)
            elif p.ndim == 2 and "embed" not in name:
                nn.init.normal_(p, std=0.6 * p.shape[1] ** -0.5)

    def logits(self, ids):
        """ids [batch, position] -> [batch, position, vocab]"""
        t = ids.shape[1]
        cos, sin = self.cos[:t], self.sin[:t]
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return F.linear(self.model.norm(x), self.model.embed_tokens.weight)

    def forward(self, ids, targets, reduction="mean"):
        """Cross-entropy in nats of `targets` [batch, position]; a target of -1 is not counted."""
        logits = self.logits(ids).float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction=reduction)
