"""Trains one of the built-in models: warm-up, constant rate, decay. A run can be continued.

A run is a chain of phases, one folder each. The stable phase keeps the rate constant, so a decay can
branch off any of its checkpoints, and longer contexts come last:

    train.py TOKENS stable --size mini --minutes 50
    train.py TOKENS decay  --size mini --from stable/last.pt --rates 1 0.4 --minutes 30
    train.py TOKENS final  --size mini --from decay/last.pt  --rates 0.4 0 --minutes 25 --context 1024

A phase is as long as --minutes or --tokens says, and so is the change of its rate.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import time

import numpy as np
import torch

from data import MIX
from model import SIZES, Llama


class Stream:
    """Training chunks of one kind in a seeded order without repetition within a pass."""

    def __init__(self, path, context, seed):
        self.ids = np.memmap(path, dtype=np.uint16, mode="r")
        self.context = context
        self.seed = seed
        self.chunks = (len(self.ids) - 1) // context
        self.taken = 0

    def next(self):
        turn, at = divmod(self.taken, self.chunks)
        if at == 0 or not hasattr(self, "order"):
            self.order = np.random.default_rng([self.seed, self.context, turn]).permutation(self.chunks)
        self.taken += 1
        start = int(self.order[at]) * self.context
        return self.ids[start : start + self.context + 1].astype(np.int64)


class Batches:
    def __init__(self, tokens_dir, context, tokens_per_step, seed, device):
        self.device = device
        self.kinds = list(MIX)
        self.streams = [Stream(f"{tokens_dir}/train-{k}.u16", context, seed + i) for i, k in enumerate(self.kinds)]
        # MIX is a share of bytes; a chunk of a kind with short tokens holds fewer of them.
        counts = json.load(open(f"{tokens_dir}/counts.json"))
        share = np.array([MIX[k] * counts[f"train-{k}"]["tokens"] / counts[f"train-{k}"]["bytes"] for k in self.kinds])
        self.share = share / share.sum()
        self.rows = tokens_per_step // context
        self.seed = seed

    def step(self, step):
        kinds = np.random.default_rng([self.seed, step]).choice(len(self.kinds), self.rows, p=self.share)
        rows = torch.from_numpy(np.stack([self.streams[k].next() for k in kinds]))
        # From pinned memory the copy does not wait for the step before.
        rows = rows.pin_memory().to(self.device, non_blocking=True) if self.device == "cuda" else rows
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    def state(self):
        return [s.taken for s in self.streams]

    def restore(self, taken):
        for stream, n in zip(self.streams, taken):
            stream.taken = n


def orthogonalise(g, precision):
    """Newton-Schulz iteration of Muon (Jordan et al. 2024) on a stack of matrices [n, rows, columns]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.to(precision)
    flip = x.shape[1] > x.shape[2]
    if flip:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return (x.mT if flip else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr, precision, momentum=0.95, decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})
        self.precision = precision

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for p in group["params"]:
                shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                gradients = [p.grad for p in params]
                momenta = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in params]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                turned = list(orthogonalise(torch.stack(updates), self.precision))
                torch._foreach_mul_(params, 1 - group["lr"] * group["decay"])
                torch._foreach_add_(params, turned, alpha=-scale)


@torch.no_grad()
def dev_bpb(model, tokens_dir, context, chunks, device, bf16):
    """Bits per byte by kind over the first `chunks` disjoint windows of 1,024 tokens, cut to `context`."""
    lengths = np.fromfile(f"{tokens_dir}/token_lengths.u16", dtype=np.uint16)
    result = {}
    for kind in MIX:
        ids = np.fromfile(f"{tokens_dir}/dev-{kind}.u16", dtype=np.uint16)
        n = min(chunks, (len(ids) - 1) // 1024)
        every = (len(ids) - 1) // 1024 // n  # spread over the split
        rows = np.stack([ids[i * every * 1024 :][:1025] for i in range(n)]).astype(np.int64)
        x = torch.from_numpy(rows[:, :-1].reshape(-1, context)).to(device)
        y = torch.from_numpy(rows[:, 1:].reshape(-1, context)).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            nats = sum(model(a, b, reduction="sum").item() for a, b in zip(x.split(8192 // context), y.split(8192 // context)))
        result[kind] = nats / math.log(2) / int(lengths[rows[:, 1:]].sum())
    result["mean"] = sum(MIX[k] * result[k] for k in MIX)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tokens_dir")
    parser.add_argument("run_dir")
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--vocab", type=int, help="instead of the size's own (tokenizer comparison)")
    parser.add_argument("--from", dest="start", help="checkpoint to begin from; a run's own last.pt goes first")
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--tokens", type=float, default=0)
    parser.add_argument("--rates", type=float, nargs=2, default=(1, 1), help="rate at the phase's begin and end, linear")
    parser.add_argument("--cooldown", type=float, default=0, help="share of the phase, at its end, that falls to zero")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--step-tokens", type=int, default=8192)
    parser.add_argument("--matrix-rate", type=float, default=0.02)
    parser.add_argument("--vector-rate", type=float, default=0.004)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--eval-minutes", type=float, default=10)
    parser.add_argument("--eval-chunks", type=int, default=16)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="autocast over f32 weights: only where the processor has bf16")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    config = SIZES[args.size]
    if args.vocab:
        config.vocab = args.vocab
    model = Llama(config).to(args.device)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    vectors = [p for n, p in model.named_parameters() if p.ndim == 1 or "embed" in n]
    muon = Muon(matrices, args.matrix_rate, torch.bfloat16 if args.bf16 else torch.float32, decay=0.05)
    adam = torch.optim.AdamW(vectors, args.vector_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    batches = Batches(args.tokens_dir, args.context, args.step_tokens, args.seed, args.device)
    run = pathlib.Path(args.run_dir)
    run.mkdir(parents=True, exist_ok=True)
    step, seen, phase_tokens, phase_seconds = 0, 0, 0, 0.0

    resume = run / "last.pt"
    if resume.exists() or args.start:
        saved = torch.load(resume if resume.exists() else args.start, weights_only=True, map_location=args.device)
        model.load_state_dict(saved["model"])
        if "muon" in saved:  # not in a checkpoint that `unpack.py` made
            muon.load_state_dict(saved["muon"])
            adam.load_state_dict(saved["adam"])
        for optimiser, rate in ((muon, args.matrix_rate), (adam, args.vector_rate)):
            for group in optimiser.param_groups:
                group["lr"] = rate
        step, seen = saved["step"], saved["seen"]
        if resume.exists():
            phase_tokens, phase_seconds = saved["phase_tokens"], saved["phase_seconds"]
        if saved["context"] == args.context:  # `unpack.py` writes 0
            batches.restore(saved["taken"])

    parameters = sum(p.numel() for p in model.parameters())
    print(f"{args.size}: {parameters} parameters, begins at token {seen}", flush=True)
    forward = torch.compile(model, dynamic=False) if args.compile else model
    curve = open(run / "train.csv", "a", newline="")
    evals = open(run / "dev.csv", "a", newline="")
    curve_csv, evals_csv = csv.writer(curve), csv.writer(evals)
    if curve.tell() == 0:
        curve_csv.writerow(["step", "tokens", "seconds", "rate", "loss_nats_per_token"])
        evals_csv.writerow(["tokens", "seconds", "context", *MIX, "mean"])

    def save():
        state = {"model": model.state_dict(), "muon": muon.state_dict(), "adam": adam.state_dict(), "step": step}
        state |= {"seen": seen, "phase_tokens": phase_tokens, "phase_seconds": phase_seconds}
        state |= {"taken": batches.state(), "context": args.context, "size": args.size, "config": config.as_dict()}
        torch.save(state, run / "new.pt")
        os.replace(run / "new.pt", run / "last.pt")

    def evaluate():
        scores = dev_bpb(model, args.tokens_dir, args.context, args.eval_chunks, args.device, args.bf16)
        evals_csv.writerow([seen, round(phase_seconds), args.context, *(f"{v:.4f}" for v in scores.values())])
        evals.flush()
        print("dev", seen, {k: round(v, 3) for k, v in scores.items()}, flush=True)

    begun = time.monotonic() - phase_seconds
    last_save = last_eval = time.monotonic()
    losses = []
    while True:
        phase_seconds = time.monotonic() - begun
        done = max(
            phase_tokens / args.tokens if args.tokens else 0,
            phase_seconds / 60 / args.minutes if args.minutes else 0,
        )
        if done >= 1:
            break
        factor = args.rates[0] + (args.rates[1] - args.rates[0]) * done
        factor *= min(1.0, (1 - done) / args.cooldown if args.cooldown else 1.0, (step + 1) / args.warmup)
        muon.param_groups[0]["lr"] = args.matrix_rate * factor
        muon.param_groups[0]["momentum"] = 0.85 + 0.1 * min(1, step / 300)
        adam.param_groups[0]["lr"] = args.vector_rate * factor
        x, y = batches.step(step)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            loss = forward(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vectors, 1.0)
        muon.step()
        adam.step()
        for p in model.parameters():
            p.grad = None
        step += 1
        seen += x.numel()
        phase_tokens += x.numel()
        losses.append(loss.detach())
        if step % 50 == 0:
            row = [step, seen, round(phase_seconds, 1), f"{factor:.4f}", f"{torch.stack(losses).mean():.4f}"]
            curve_csv.writerow(row)
            curve.flush()
            print(*row, f"{phase_tokens / max(phase_seconds, 1e-9):.0f} token/s", flush=True)
            losses.clear()
        now = time.monotonic()
        if now - last_save > 60 * args.save_minutes:
            save()
            last_save = now
        if now - last_eval > 60 * args.eval_minutes:
            evaluate()
            last_eval = time.monotonic()
    save()
    evaluate()


if __name__ == "__main__":
    main()
