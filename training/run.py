"""One training run: batches, schedule, checkpoints, and bits per byte on the development split.

A run may be killed at any moment. Its checkpoint `last.pt` is replaced atomically; the same run started again continues
there and computes the same losses (exactly on a CPU with one thread, up to the order of additions on a GPU).
"""

import csv
import fcntl
import io
import json
import math
import os
import pathlib
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from expert import Evidence, Expert, Mixture, find_evidence
from optimise import Optimisers
from parts import Work, write_atomically

EVIDENCE_THREADS = ThreadPoolExecutor(torch.get_num_threads())
COLUMNS = ["step", "tokens", "seconds", "rate", "loss_nats_per_token"]


@dataclass
class Plan:
    """How a run is trained. The rate is 1 after the warm-up and falls to 0 over the last `cooldown` of the run."""

    minutes: float  # wall time of all calls together
    tokens: float = 0  # 0: as many as the minutes allow
    cooldown: float = 0.7
    warmup: int = 100
    context: int = 1024
    step_tokens: int = 65_536
    matrix_rate: float = 0.02
    vector_rate: float = 0.01
    seed: int = 1
    device: str = "cpu"
    compile: bool = False
    bf16: bool = False
    save_seconds: float = 30
    log_steps: int = 50
    windows: int = 64  # of each kind of the development split
    history: int = 0  # at most so many tokens before a chunk are shown to the expert
    since: float = 0  # the time.time() from which the minutes count; 0: when the run is made
    parent: int = 0  # the run stops when this is no longer its parent process


class Stream:
    """Chunks of context + 1 tokens of one kind in one part, in a seeded order, each once in a pass."""

    def __init__(self, ids: np.ndarray, context: int, seed: list[int]):
        self.ids, self.context, self.seed = ids, context, seed
        self.chunks = (len(ids) - 1) // context
        self.taken, self.turn = 0, -1

    def read(self) -> float:
        """How many times the chunks have been read."""
        return self.taken / self.chunks if self.chunks > 0 else math.inf

    def next(self, history: int) -> tuple[np.ndarray, int]:
        """The next chunk with up to `history` tokens before it, and the number of those."""
        turn, at = divmod(self.taken, self.chunks)
        if turn != self.turn:
            self.order = np.random.default_rng([*self.seed, turn]).permutation(self.chunks)
            self.turn = turn
        self.taken += 1
        start = int(self.order[at]) * self.context
        before = min(start, history)
        return self.ids[start - before : start + self.context + 1].astype(np.int64), before


def tensors_of(chunks: list[tuple[np.ndarray, int]], plan: Plan, with_evidence: bool):
    """Inputs and targets, i64 [rows, context], and the expert's evidence or None. Each chunk comes with the number of
    tokens before it; a token of -1 is an input of 0."""
    batch = torch.from_numpy(np.stack([ids[before:] for ids, before in chunks]))
    evidence = None
    if with_evidence:
        known = [(np.maximum(ids[:-1], 0), before) for ids, before in chunks]
        evidence = Evidence.stack(list(EVIDENCE_THREADS.map(lambda row: find_evidence(*row), known)))
    if plan.device == "cuda":  # from pinned memory the copy does not wait for the step before
        batch = batch.pin_memory().to("cuda", non_blocking=True)
        evidence = evidence and evidence.move(lambda tensor: tensor.pin_memory().to("cuda", non_blocking=True))
    return batch[:, :-1].clamp_min(0), batch[:, 1:].contiguous(), evidence


def cross_entropy_of(forward, chunks: list[tuple[np.ndarray, int]], plan: Plan, with_evidence: bool, reduction="mean"):
    """In nats; `forward` is a mixture, which may be compiled."""
    tensors = tensors_of(chunks, plan, with_evidence)
    with torch.autocast(plan.device, torch.bfloat16, enabled=plan.bf16):
        return forward(*tensors, reduction=reduction)


class Batches:
    """Draws kinds by their shares of bytes; a chunk of a kind comes from the part that was read least."""

    def __init__(self, work: Work, plan: Plan):
        self.work, self.plan = work, plan
        self.streams: dict[str, list[Stream]] = {}  # by part, in the order of kinds
        # A chunk of a kind with short tokens holds fewer bytes.
        per_byte = {k: work.counts(k)["tokens"] / work.counts(k)["bytes"] for k in work.kinds}
        share = np.array([s * per_byte[k] for k, s in work.shares().items()])
        self.share = share / share.sum()
        self.rows = max(1, plan.step_tokens // plan.context)

    def refresh(self):
        """Takes in the parts that have arrived."""
        for part in self.work.ready():
            if part not in self.streams:
                self.add(part)

    def add(self, part: str):
        ids = self.work.tokens(part)
        seed = [self.plan.seed, self.plan.context, zlib.crc32(part.encode())]
        self.streams[part] = [Stream(ids[k], self.plan.context, seed + [i]) for i, k in enumerate(self.work.kinds)]

    def next(self, step: int) -> list[tuple[np.ndarray, int]]:
        """Chunks as `Stream.next` gives them, after more or less text, as in files of all lengths."""
        random = np.random.default_rng([self.plan.seed, step])
        kinds = random.choice(len(self.share), self.rows, p=self.share)
        histories = random.integers(self.plan.history + 1, size=self.rows)
        return [min(self.of_kind(k), key=Stream.read).next(h) for k, h in zip(kinds, histories)]

    def of_kind(self, kind: int) -> list[Stream]:
        return [streams[kind] for streams in self.streams.values()]

    def state(self) -> dict[str, list[int]]:
        return {part: [s.taken for s in streams] for part, streams in self.streams.items()}

    def restore(self, state: dict[str, list[int]]):
        """The parts and positions of a checkpoint. A part that is gone is left out, and the losses then differ."""
        for part, taken in state.items():
            if part not in self.work.ready():
                print(f"{part} was read before and is gone", flush=True)
                continue
            self.add(part)
            for stream, n in zip(self.streams[part], taken):
                stream.taken = n


class Schedule:
    """The rate by step. Its end is decided when the decay begins, and again only if the minutes would not suffice."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.decay: tuple[int, int, float] | None = None  # the rate falls from `top` to 0 between two steps
        self.total = int(plan.tokens // plan.step_tokens)

    def affordable(self, spent: float, seconds_per_step: float) -> int:
        """Steps that the time left allows, less a tenth for the evaluation."""
        return max(1, int((self.plan.minutes * 60 - spent) * 0.9 / max(seconds_per_step, 1e-6)))

    def decide(self, step: int, spent: float, seconds_per_step: float | None) -> bool:
        """Begins the decay, or shortens it; whether it did. The speed is None while it is unknown."""
        if self.decay is None:
            by_tokens = self.total and step >= self.total * (1 - self.plan.cooldown)
            by_time = seconds_per_step is not None and spent >= self.plan.minutes * 60 * (1 - self.plan.cooldown)
            if not (by_tokens or by_time):
                return False
            end = step + self.affordable(spent, seconds_per_step or 0)
            self.decay = (step, min(end, max(self.total, step + 1)) if self.total else end, 1.0)
            return True
        if seconds_per_step is None or (self.decay[1] - step) * seconds_per_step + spent <= self.plan.minutes * 60:
            return False
        self.decay = (step, min(self.decay[1], step + self.affordable(spent, seconds_per_step)), self.fallen(step))
        return True

    def fallen(self, step: int) -> float:
        begin, end, top = self.decay or (0, 1, 1.0)
        return top * max(0.0, (end - step) / (end - begin)) if self.decay else 1.0

    def factor(self, step: int) -> float:
        return min(1.0, (step + 1) / self.plan.warmup) * self.fallen(step)

    def is_over(self, step: int) -> bool:
        return self.decay is not None and step >= self.decay[1]


@torch.no_grad()
def bits_per_byte(mixture: Mixture, work: Work, plan: Plan) -> dict[str, float]:
    """By kind over the development windows [n, tokens + 1], cut to the context, and the mean by shares.

    -1 pads a window. The expert looks only in the window."""
    result = {}
    for kind, rows in work.dev().items():
        rows = rows[:: max(1, len(rows) // plan.windows)][: plan.windows]
        chunks = [chunk for row in rows for chunk in chunks_of(row, plan)]
        nats, batch = 0.0, max(1, 8192 // plan.context)
        for first in range(0, len(chunks), batch):
            some = chunks[first : first + batch]
            nats += cross_entropy_of(mixture, some, plan, mixture.expert is not None, reduction="sum").item()
        counted = rows[:, 1:][rows[:, 1:] >= 0]
        result[kind] = nats / math.log(2) / int(work.lengths[counted].sum())
    result["mean"] = sum(share * result[k] for k, share in work.shares().items())
    return result


def chunks_of(row: np.ndarray, plan: Plan):
    """Cuts a window as `Stream.next` would."""
    for start in range(0, len(row) - 1, plan.context):
        before = min(start, plan.history)
        yield row[start - before : start + plan.context + 1], before


def cut_curve(path: pathlib.Path, last_step: int):
    """Removes rows that a killed run wrote after its checkpoint."""
    if not path.exists():
        return
    rows = [r for r in csv.DictReader(path.open()) if None not in r.values() and int(r["step"]) <= last_step]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


class Run:
    """A folder with `last.pt`, the loss curve `train.csv`, and at the end `result.json`."""

    def __init__(
        self, folder, model, work: Work, plan: Plan, about: dict, start=None, expert: Expert | None = None
    ):
        """`about` goes into the checkpoint and the result; `start` is a checkpoint to take the weights from; the model
        is trained beside the expert, if there is one."""
        self.begun = time.monotonic() - (time.time() - plan.since if plan.since else 0)
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / "lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)  # a child of a killed call may still be ending
        self.mixture = Mixture(model, expert).to(plan.device)
        self.work, self.plan, self.about = work, plan, about
        self.optimisers = Optimisers(self.mixture, plan.matrix_rate, plan.vector_rate, plan.bf16)
        self.batches, self.schedule = Batches(work, plan), Schedule(plan)
        self.step = self.spent_before = 0
        self.losses: list[torch.Tensor] = []
        self.timed: tuple[int, float] | None = None  # a step and its moment
        self.decided = False  # whether the schedule is newer than the checkpoint
        if (self.folder / "last.pt").exists():
            self.restore(torch.load(self.folder / "last.pt", weights_only=True, map_location=plan.device))
        elif start:
            self.begin_from(torch.load(start, weights_only=True, map_location=plan.device))
        self.batches.refresh()
        if not self.batches.streams:
            raise SystemExit(f"{work.folder} holds no whole part")
        cut_curve(self.folder / "train.csv", self.step)

    def seen(self) -> int:
        return self.step * self.batches.rows * self.plan.context

    def spent(self) -> float:
        """Seconds of training in all calls that reached a checkpoint, and in this one."""
        return self.spent_before + time.monotonic() - self.begun

    def save(self):
        state = {name: module.state_dict() for name, module in self.mixture.named_children()}
        state |= {**self.optimisers.state(), **self.about, "step": self.step}
        state |= {"seen": self.seen(), "spent": self.spent(), "taken": self.batches.state()}
        state |= {"decay": self.schedule.decay}
        content = io.BytesIO()
        torch.save(state, content)
        write_atomically(self.folder / "last.pt", content.getvalue())
        self.saved = time.monotonic()

    def restore(self, state: dict):
        if ("expert" in state) != (self.mixture.expert is not None):
            raise SystemExit(f"{self.folder} was begun with an expert, or without one, and must go on so")
        for name, module in self.mixture.named_children():
            module.load_state_dict(state[name])
        self.optimisers.restore(state)
        self.step, self.spent_before = state["step"], state["spent"]
        self.schedule.decay = state["decay"]
        self.batches.restore(state["taken"])
        print(f"continues at step {self.step}", flush=True)

    def begin_from(self, state: dict):
        """The weights, and the optimisers' state where there is one of the same parameters (`unpack.py` knows only
        weights)."""
        self.mixture.model.load_state_dict(state["model"])
        if (shape := state.get("config")) != self.about.get("config"):
            print(f"begins from weights of another shape: {shape}", flush=True)
        if "muon" in state and ("expert" in state) == (self.mixture.expert is not None):
            self.optimisers.restore(state)

    def loss(self, forward, step: int):
        return cross_entropy_of(forward, self.batches.next(step), self.plan, self.mixture.expert is not None)

    def train_step(self, forward):
        loss = self.loss(forward, self.step)
        loss.backward()
        self.losses.append(loss.detach())
        self.optimisers.step(self.step, self.schedule.factor(self.step))
        self.step += 1

    def log(self):
        loss = torch.stack(self.losses).mean().item()
        self.losses.clear()
        row = [
            self.step,
            self.seen(),
            round(self.spent(), 1),
            f"{self.schedule.factor(self.step - 1):.4f}",
            f"{loss:.5f}",
        ]
        path = self.folder / "train.csv"
        with path.open("a") as curve:
            if not curve.tell():
                csv.writer(curve, lineterminator="\n").writerow(COLUMNS)
            csv.writer(curve, lineterminator="\n").writerow(row)
        print(*row, flush=True)

    def train(self):
        """Trains to the end of the schedule or of the minutes. Saving happens where the curve has a row."""
        forward = torch.compile(self.mixture, dynamic=False) if self.plan.compile else self.mixture
        self.saved, first = time.monotonic(), self.step
        while not self.schedule.is_over(self.step) and self.spent() < self.plan.minutes * 60:
            if self.plan.parent and os.getppid() != self.plan.parent:
                raise SystemExit("the calling program has ended")
            if self.step == first + 5:  # compiled
                self.timed = (self.step, time.monotonic())
            self.decided |= self.schedule.decide(self.step, self.spent(), self.seconds_per_step())
            self.train_step(forward)
            if self.step % self.plan.log_steps == 0:
                self.log()
                self.save_when_due()
        self.save()

    def seconds_per_step(self) -> float | None:
        """Measured since step 5 of this call; None at first."""
        if self.timed is None or self.step < self.timed[0] + 10:
            return None
        return (time.monotonic() - self.timed[1]) / (self.step - self.timed[0])

    def save_when_due(self):
        if self.decided or time.monotonic() - self.saved > self.plan.save_seconds:
            self.decided = False
            self.save()
            self.batches.refresh()

    def evaluate(self) -> dict[str, float]:
        return bits_per_byte(self.mixture, self.work, self.plan)

    def finish(self, result: dict):
        """Writes what the tables need."""
        result = {"tokens": self.seen(), "seconds": round(self.spent()), **self.about, **result}
        write_atomically(self.folder / "result.json", (json.dumps(result, indent=1) + "\n").encode())
