"""Bits per byte of a checkpoint on files, f32: evaluate.py CHECKPOINT TOKENIZER.json [FILE...] [--dev TEXT_DIR]

Windows of 1,024 tokens, each advancing by 512, so that every token but the first 512 of a file has at least
512 tokens of context. The separator is fed first and does not count. --int8 rounds weights (per output
channel) and the inputs of every product (groups of 64) to 8 bits, as the exact engine does.
"""

import argparse
import math
import pathlib

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from data import as_text, load, present_kinds
from model import Config, Llama

WINDOW, ADVANCE = 1024, 512


def round_int8(x, group):
    shape = x.shape
    x = x.reshape(*shape[:-1], -1, group)
    scale = x.abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127
    return ((x / scale).round() * scale).reshape(shape)


def make_int8(model):
    for name, p in model.named_parameters():
        if p.ndim == 2:
            p.data = round_int8(p.data, p.shape[1])
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(lambda _, inputs: (round_int8(inputs[0], 64),))
    model.model.norm.register_forward_hook(lambda _, __, out: round_int8(out, 64))


@torch.no_grad()
def bits(model, tokenizer, text: str):
    """Total bits the model assigns to the text, and the number of tokens."""
    ids = torch.tensor([0] + tokenizer.encode(text).ids)
    total, scored = 0.0, 1  # ids[:scored] are done
    starts = range(0, max(1, len(ids) - 1 - ADVANCE), ADVANCE)
    batch = [ids[s : s + WINDOW + 1] for s in starts]
    full = [w for w in batch if len(w) == WINDOW + 1]
    for group in [full[i : i + 8] for i in range(0, len(full), 8)] + [[w] for w in batch if len(w) <= WINDOW]:
        rows = torch.stack(group)
        logits = model.logits(rows[:, :-1]).float()
        nats = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none").view(len(group), -1)
        for row in nats:
            first = 0 if scored == 1 else WINDOW - ADVANCE
            total += row[first:].double().sum().item()
            scored += len(row) - first
    assert scored == len(ids)
    return total / math.log(2), len(ids) - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("tokenizer")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--dev", help="folder of KIND.txt.xz: score its development split by kind")
    parser.add_argument("--dev-bytes", type=int, default=200_000, help="at most this much of each kind")
    parser.add_argument("--int8", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    saved = torch.load(args.checkpoint, weights_only=True)
    model = Llama(Config(**saved["config"]))
    model.load_state_dict(saved["model"])
    if args.int8:
        make_int8(model)
    tokenizer = as_text(Tokenizer.from_file(args.tokenizer))
    print("file\tbytes\ttokens\tbits_per_byte")

    def report(name, texts):
        scores = [bits(model, tokenizer, t) for t in texts]
        size = sum(len(t.encode("utf-8")) for t in texts)
        print(f"{name}\t{size}\t{sum(s[1] for s in scores)}\t{sum(s[0] for s in scores) / size:.4f}", flush=True)

    if args.dev:
        for kind in present_kinds(args.dev):
            texts, left = [], args.dev_bytes
            for document in load(args.dev, kind, "dev"):
                if left <= 0:
                    break
                texts.append(document[: min(left, 50_000)])
                left -= len(texts[-1].encode())
            report(kind, texts)
    for path in args.files:
        report(pathlib.Path(path).name, [pathlib.Path(path).read_bytes().decode("utf-8", errors="replace")])


if __name__ == "__main__":
    main()
