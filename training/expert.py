"""An expert beside a model: it predicts the tokens that followed the same tokens before, as the program's experts do.

A model that is trained beside it spends its parameters on what experts cannot know. At each place the expert looks for
earlier places that end with the same tokens. Each adds a weight to the token that followed it; the weight grows with
how many last tokens are equal, at most 8. The sum c[v] of these weights raises the logit of token v by
w log(1 + c[v] / (k u[v])): up to a constant, w times the logarithm of (c + k u) / u with the frequencies u.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from model import cross_entropy

HISTORY = 16_384  # at most so many tokens before a chunk are shown to the expert when a model is trained beside it
LONGEST = 8
WEIGHTS = np.array([0.0, 0.1, 1.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0], dtype=np.float32)  # by the number of equal tokens
PLACES_BY_ORDER = {1: 4, 2: 8, 4: 6, 8: 2}  # how many of the latest places that end with 1, 2, 4 and 8 equal tokens
PRIOR = 1.0


@dataclass
class Evidence:
    tokens: torch.Tensor  # i64 [row, position, n]: tokens that followed
    counts: torch.Tensor  # f32 [row, position, n]: c, or 0 where the token was there before
    longest: torch.Tensor  # i64 [row, position]: the longest match

    @classmethod
    def stack(cls, rows: list["Evidence"]) -> "Evidence":
        return cls(*(torch.stack([getattr(row, name) for row in rows]) for name in ("tokens", "counts", "longest")))

    def move(self, move) -> "Evidence":
        """With every tensor replaced by `move` of it."""
        return Evidence(move(self.tokens), move(self.counts), move(self.longest))


def previous(keys: np.ndarray) -> np.ndarray:
    """The latest earlier place with the same key, or -1."""
    order = np.argsort(keys, kind="stable")
    found = np.full(len(keys), -1)
    same = keys[order[1:]] == keys[order[:-1]]
    found[order[1:][same]] = order[:-1][same]
    return found


def keys_of(ids: np.ndarray, order: int) -> np.ndarray:
    """A hash of the last `order` tokens of each place; places with fewer have a key of their own."""
    keys = np.zeros(len(ids), dtype=np.uint64)
    for back in range(min(order, len(ids))):
        keys[back:] = keys[back:] * np.uint64(0x9E3779B97F4A7C15) + ids[: len(ids) - back].astype(np.uint64)
        keys ^= keys >> np.uint64(29)
    alone = min(order - 1, len(ids))
    keys[:alone] = np.arange(alone, dtype=np.uint64) + np.uint64(2**63)
    return keys


def earlier_places(ids: np.ndarray, begin: int) -> np.ndarray:
    """[place - begin, n]: earlier places that end with the same tokens, or -1; one may be there twice."""
    columns = []
    for order, latest in PLACES_BY_ORDER.items():
        before = previous(keys_of(ids, order))
        place = np.arange(begin, len(ids))
        for _ in range(latest):
            place = np.where(place >= 0, before[place], -1)
            columns.append(place)
    return np.stack(columns, 1)


def match_lengths(ids: np.ndarray, places: np.ndarray, begin: int) -> np.ndarray:
    """How many last tokens of each earlier place are equal, at most `LONGEST`."""
    here = np.arange(begin, len(ids))[:, None]
    length, equal = np.zeros_like(places), places >= 0
    for back in range(LONGEST):
        equal = equal & (places >= back) & (ids[places - back] == ids[here - back])
        length += equal
    return length


def find_evidence(ids: np.ndarray, begin: int) -> Evidence:
    """For the places from `begin` on; `ids` [place] includes the places before."""
    places = earlier_places(ids, begin)
    length = match_lengths(ids, places, begin)
    earlier_column = np.tri(places.shape[1], k=-1, dtype=bool)
    twice = ((places[:, :, None] == places[:, None, :]) & earlier_column).any(2)
    weights = np.where(twice, 0, WEIGHTS[length])
    following = ids[places + 1]
    same = following[:, :, None] == following[:, None, :]
    counts = (same * weights[:, None, :]).sum(2, dtype=np.float32)
    counts[(same & earlier_column).any(2)] = 0
    return Evidence(torch.from_numpy(following), torch.from_numpy(counts), torch.from_numpy(length.max(1)))


class Expert(nn.Module):
    """Raises logits by the evidence. Trained are w and a factor of the model's logits, one of each for every length of
    the longest match."""

    def __init__(self, frequencies: np.ndarray):
        """frequencies [vocab], sum 1"""
        super().__init__()
        self.register_buffer("prior", torch.from_numpy(PRIOR * np.maximum(frequencies, 1e-5)).float())
        self.mix_expert = nn.Parameter(0.8 * torch.ones(LONGEST + 1))
        self.mix_model = nn.Parameter(torch.ones(LONGEST + 1))

    def forward(self, logits, evidence: Evidence):
        """logits f32 [row, position, vocab]"""
        of_expert, of_model = (w[evidence.longest][..., None] for w in (self.mix_expert, self.mix_model))
        raised = of_expert * torch.log1p(evidence.counts / self.prior[evidence.tokens])
        return (of_model * logits).scatter_add(2, evidence.tokens, raised)


class Mixture(nn.Module):
    """A model, and the expert beside it if there is one."""

    def __init__(self, model, expert: Expert | None):
        super().__init__()
        self.model, self.expert = model, expert

    def forward(self, ids, targets, evidence: Evidence | None = None, reduction="mean"):
        """Cross-entropy in nats of `targets` [row, position]; a target of -1 is not counted."""
        if self.expert is None:
            return self.model(ids, targets, reduction)
        return cross_entropy(self.expert(self.model.logits(ids).float(), evidence), targets, reduction)
