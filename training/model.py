"""The model of the family, as Hugging Face computes `LlamaForCausalLM` or, with a local window, `SmolLM3ForCausalLM`.

Parameter names are the exported ones. RMSNorm, rotary positions (rotate-half), grouped key/value heads,
SwiGLU, no biases, embedding tied to the output. Only the last layer attends to the whole context; the others attend to
the last `local` positions, if that is not 0.
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
    local: int = 0
    far: int = -1

    def sees_far(self, layer: int) -> bool:
        """Whether the layer attends to the whole context. With a local window, one layer does: `far`, counted from
        the end if it is negative."""
        return not self.local or layer == self.far % self.layers

    def window(self, layer: int) -> int:
        """How many positions the layer attends to, its own among them."""
        return self.context if self.sees_far(layer) else self.local

    def hugging_face(self) -> dict:
        return self.llama_settings() | (self.smollm3_settings() if self.local else {})

    def smollm3_settings(self) -> dict:
        """What makes the Llama a SmolLM3 all of whose layers rotate."""
        types = ["full_attention" if self.sees_far(i) else "sliding_attention" for i in range(self.layers)]
        return {
            "architectures": ["SmolLM3ForCausalLM"],
            "model_type": "smollm3",
            "pad_token_id": None,
            "no_rope_layers": [1] * self.layers,
            "use_sliding_window": True,
            "sliding_window": self.local,
            "layer_types": types,
        }

    def llama_settings(self) -> dict:
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
    "toy": Config(1024, 32, 2, 1, 1, 32, 64, local=32, far=0),
    "fixture": Config(326, 64, 2, 2, 1, 32, 128),
    "nano": Config(4096, 32, 3, 1, 1, 32, 96, local=128),
    "micro": Config(4096, 64, 6, 2, 1, 32, 192, local=128, far=-2),
    "mini": Config(4096, 192, 4, 3, 1, 64, 384, local=128),
    "small": Config(4096, 256, 6, 4, 1, 64, 640, local=128),
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


def attend(q, k, v, window: int):
    """Causal attention to the last `window` positions; [batch, head, position, head_dim]."""
    t = q.shape[2]
    if t <= window:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    if t % window:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=window_mask(t, t, window, q.device))
    return attend_blocks(q, k, v, window)


def window_mask(queries: int, keys: int, window: int, device):
    """Which keys each query sees, [queries, keys]; the queries are the last of the keys' positions."""
    back = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)
    return (back >= 0) & (back < window)


def attend_blocks(q, k, v, window: int):
    """The same in blocks of `window` positions, each of which sees itself and the block before it."""
    b, h, t, d = q.shape
    q, k, v = (x.reshape(b, h, t // window, window, d) for x in (q, k, v))
    first = F.scaled_dot_product_attention(q[:, :, 0], k[:, :, 0], v[:, :, 0], is_causal=True)
    k, v = (torch.cat((x[:, :, :-1], x[:, :, 1:]), 3).reshape(-1, 1, 2 * window, d) for x in (k, v))
    mask = window_mask(window, 2 * window, window, q.device)
    rest = F.scaled_dot_product_attention(q[:, :, 1:].reshape(-1, 1, window, d), k, v, attn_mask=mask)
    return torch.cat((first, rest.reshape(b, h, t - window, d)), 2)


class Attention(nn.Module):
    def __init__(self, c: Config, window: int):
        super().__init__()
        self.c, self.window = c, window
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
        y = attend(q.to(v.dtype), k.to(v.dtype), v, self.window)
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
    def __init__(self, c: Config, window: int):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden)
        self.self_attn = Attention(c, window)
        self.post_attention_layernorm = RMSNorm(c.hidden)
        self.mlp = MLP(c)

    def forward(self, x, cos, sin, more=None):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, more)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab, c.hidden)
        self.layers = nn.ModuleList(Layer(c, c.window(i)) for i in range(c.layers))
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
        return cross_entropy(self.logits(ids).float(), targets, reduction)


def cross_entropy(logits, targets, reduction):
    """In nats; logits [batch, position, vocab], targets [batch, position], of which -1 is not counted."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction=reduction)
