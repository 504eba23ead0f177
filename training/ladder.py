#!/usr/bin/env python3
"""From text to the built-in models: prepare, ablate, train, export.

    ladder.py prepare TEXT_DIR WORK      tokenizer, development split and token parts
    ladder.py ablate WORK OUT            compares shapes of the model at equal decoding time
    ladder.py train WORK OUT             trains nano, micro, mini and small at once
    ladder.py export WORK OUT/SIZE HF    a Hugging Face folder for `llmzip model add`

Every command has --help. `prepare` needs no GPU; `ablate` and `train` use one if there is one. With --toy everything is
small enough for minutes on a CPU.
"""

import time

BEGUN = time.time()  # before the slow imports: --minutes includes them

import argparse
import json
import os
import pathlib
import subprocess
import sys
from dataclasses import replace

import torch
from safetensors.torch import save_file

import parts
from expert import HISTORY, Expert
from model import SIZES, Config, Llama
from parts import Work, widen, write_atomically
from run import Plan, Run
from variants import VARIANTS, Variant, at_equal_time, classes_by_bytes, multiplications, packed_bytes

LADDER = ["small", "mini", "micro", "nano"]  # the slowest first
# Otherwise glibc gives the memory of each large tensor back and asks for it again, a fifth of the time on a CPU.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
TOY_PLAN = {"context": 128, "step_tokens": 1024, "log_steps": 10, "save_seconds": 1, "windows": 2, "warmup": 20}


def plan_of(args) -> Plan:
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    fast = device == "cuda"
    plan = Plan(
        minutes=args.minutes,
        tokens=args.tokens,
        seed=args.seeds[0],
        device=device,
        compile=fast,
        bf16=fast or args.bf16,
    )
    plan = replace(plan, **TOY_PLAN) if args.toy else plan
    given = {k: getattr(args, k) for k in ("context", "step_tokens", "cooldown", "windows", "save_seconds", "warmup")}
    plan = replace(plan, **{k: v for k, v in given.items() if v is not None}, parent=args.child, since=args.since)
    plan = replace(plan, matrix_rate=plan.matrix_rate * args.rate, vector_rate=plan.vector_rate * args.rate)
    if parts.WINDOW % plan.context or plan.step_tokens % plan.context:
        raise SystemExit(f"--context {plan.context} must divide {parts.WINDOW} and the tokens of a step")
    return plan


def start_children(jobs: list[tuple[str, list[str]]], out: pathlib.Path, at_once: int, poll, since=None) -> bool:
    """Runs this script once for each (name, arguments), `at_once` at a time; logs go to OUT/NAME/log.txt.

    The minutes of a run begin at `since`, or when its process is started."""
    waiting, running, failed = list(jobs), {}, []
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "2", "PYTHONUNBUFFERED": "1", **KEEP_MEMORY}
    while waiting or running:
        while waiting and len(running) < at_once:
            name, arguments = waiting.pop(0)
            (out / name).mkdir(parents=True, exist_ok=True)
            log = (out / name / "log.txt").open("a")
            command = [sys.executable, __file__, *arguments, "--child", str(os.getpid())]
            command += ["--since", str(since or time.time())]
            running[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        time.sleep(0.5)
        poll(running)
        for name in [n for n, p in running.items() if p.poll() is not None]:
            if running.pop(name).returncode:
                failed.append(name)
                log = out / name / "log.txt"
                print(f"{name} failed; the end of {log}:\n{last_lines(log, 15)}", flush=True)
    return not failed


def last_lines(path: pathlib.Path, n: int) -> str:
    return "\n".join(path.read_text().splitlines()[-n:]) if path.exists() else ""


class Watch:
    """Unpacks parts as they arrive, and shows the last step of every run now and then."""

    def __init__(self, work: Work, out: pathlib.Path, seconds: float):
        self.work, self.out, self.seconds = work, out, seconds
        self.begun = self.unpacked = self.shown = time.monotonic()
        self.known = work.unpack()
        if not self.known:
            raise SystemExit(f"{work.folder} holds no whole part")
        print(f"parts: {' '.join(self.known)}", flush=True)

    def __call__(self, running: dict):
        now = time.monotonic()
        if now - self.unpacked > 5:
            self.unpacked, ready = now, self.work.unpack()
            if ready != self.known:
                self.known = ready
                print(f"parts: {' '.join(ready)}", flush=True)
        if now - self.shown > self.seconds:
            self.shown = now
            for name in running:
                print(f"{now - self.begun:.0f} s  {name}: {last_lines(self.out / name / 'log.txt', 1)}", flush=True)


def print_table(rows: dict[str, list[str]]):
    """A Markdown table, one line for each key."""
    for i, (name, cells) in enumerate(rows.items()):
        print("|", " | ".join([name, *cells]), "|")
        if i == 0:
            print("|---" * (len(cells) + 1) + "|")


def result_table(results: dict[str, dict], facts: list[str]):
    """Columns are results; rows are facts about them, then bits per byte by kind."""
    if not results:
        return
    rows = {"": list(results)}
    for fact in facts:
        rows[fact] = [f"{r[fact]:,}" if isinstance(r[fact], int) else f"{r[fact]:.2f}" for r in results.values()]
    for kind in next(iter(results.values()))["bits_per_byte"]:
        rows[kind] = [f"{r['bits_per_byte'][kind]:.4f}" for r in results.values()]
    print_table(rows)


def prepare(args):
    settings = parts.Settings(
        args.vocab, args.part_mib, args.sample_chars, args.limit_bytes, args.dev_windows, args.tokenizer
    )
    if args.toy:
        toy = {"vocab": 1024, "part_mib": 0.25, "sample_chars": 1e6, "limit_bytes": 3e6, "dev_windows": 2}
        settings = replace(settings, **toy)
    parts.prepare(args.text_dir, pathlib.Path(args.work), settings)


def train(args):
    """One process for each size; the same command continues what was interrupted."""
    work, out = Work(args.work), pathlib.Path(args.out)
    if args.child:
        return train_size(work, out, args.sizes[0], args)
    sizes = args.sizes or (["toy"] if args.toy else LADDER)
    unfinished = [s for s in sizes if not (out / s / "result.json").exists()]
    jobs = [(size, [*sys.argv[1:], "--sizes", size]) for size in unfinished]  # the last --sizes counts
    well = start_children(jobs, out, len(sizes), Watch(work, out, 30), BEGUN)
    found = {s: json.loads(p.read_text()) for s in sizes if (p := out / s / "result.json").exists()}
    results = {s + (" + expert" if r.get("beside_expert") else ""): r for s, r in found.items()}
    result_table(results, ["parameters", "tokens", "seconds"])
    sys.exit(0 if well else 1)


def train_size(work: Work, out: pathlib.Path, size: str, args):
    plan = plan_of(args)
    torch.manual_seed(plan.seed)
    config = replace(SIZES[size], vocab=work.vocab)
    model = Llama(config)
    about = {"size": size, "config": config.as_dict(), "parameters": sum(p.numel() for p in model.parameters())}
    about["beside_expert"] = args.beside_expert
    start = pathlib.Path(args.start, size, "last.pt") if args.start else None
    expert = None
    if args.beside_expert:
        plan, expert = replace(plan, history=HISTORY), Expert(work.frequencies(work.ready()[0]))
    run = Run(out / size, model, work, plan, about, start, expert)
    run.train()
    run.finish({"bits_per_byte": run.evaluate()})


def ablate(args):
    """One process for each variant and seed, all at once on a GPU and one after the other on a CPU."""
    work, out = Work(args.work), pathlib.Path(args.out)
    if args.child:
        return ablate_one(work, out, args.variants[0], args)
    plan, watch = plan_of(args), Watch(work, out, 30)
    names = args.variants or list(VARIANTS)
    pairs = [(n, seed) for seed in args.seeds for n in names]
    jobs = [(f"{n}-{s}", [*sys.argv[1:], "--variants", n, "--seeds", str(s)]) for n, s in pairs]
    at_once = args.jobs or (len(jobs) if plan.device == "cuda" else 1)
    turns = -(-len(jobs) // at_once)
    minutes = (args.minutes - (time.time() - BEGUN) / 60) / turns
    todo = [(n, [*a, "--minutes", f"{minutes:.3f}"]) for n, a in jobs if not (out / n / "result.json").exists()]
    well = start_children(todo, out, at_once, watch)
    for seed in args.seeds:
        print(f"\nseed {seed}, {args.size}")
        result_table(
            ablation_results(out, names, seed),
            ["parameters", "packed bytes", "intermediate", "multiplications a byte", "tokens", "seconds"],
        )
    sys.exit(0 if well else 1)


def ablation_results(out: pathlib.Path, names: list[str], seed: int) -> dict[str, dict]:
    results = {}
    for name in names:
        path = out / f"{name}-{seed}" / "result.json"
        if path.exists():
            results[name] = json.loads(path.read_text())
            if beside := results[name].pop("with_expert", None):
                results[name + " + expert"] = {**results[name], "bits_per_byte": beside}
    return results


def ablate_one(work: Work, out: pathlib.Path, name: str, args):
    plan, shape, part = plan_of(args), VARIANTS[name], work.ready()[0]
    torch.manual_seed(plan.seed)
    source = widen(work, part) if shape.wide else work
    ratio = source.bytes_per_token() / work.bytes_per_token()
    base = replace(SIZES[args.size or "nano"], vocab=work.vocab)
    config = at_equal_time(base, shape, source.vocab, ratio)
    class_of = classes_by_bytes(source.tokenizer, shape.classes) if shape.classes else None
    model = Variant(config, shape, class_of)
    expert = Expert(source.frequencies(part))
    about = {"variant": name, "intermediate": config.intermediate, "packed bytes": packed_bytes(model)}
    about["parameters"] = sum(p.numel() for p in model.parameters())
    about["multiplications a byte"] = round(multiplications(config, shape) / source.bytes_per_token())
    plan = replace(plan, tokens=plan.tokens / ratio)
    run = Run(out / f"{name}-{plan.seed}", model, source, plan, about, expert=expert if shape.expert else None)
    run.train()
    result = {"bits_per_byte": run.evaluate()}
    if not shape.expert and not shape.classes:
        add_expert(run, expert)
        result["with_expert"] = run.evaluate()
    run.finish(result)


def add_expert(run: Run, expert: Expert, steps: int = 60):
    """Puts the expert beside a trained model. Only its mixing weights are then trained."""
    run.mixture.expert = expert.to(run.plan.device)
    mixing = list(expert.parameters())
    adam = torch.optim.Adam(mixing, 0.02)
    for step in range(run.step, run.step + steps):
        loss = run.loss(run.mixture, step)
        for p, gradient in zip(mixing, torch.autograd.grad(loss, mixing)):
            p.grad = gradient
        adam.step()


def checkpoint(run) -> dict:
    """The last one in the folder of a run."""
    return torch.load(pathlib.Path(run, "last.pt"), weights_only=True, map_location="cpu")


def export(args):
    """config.json, tokenizer.json and model.safetensors, as transformers reads them."""
    saved = checkpoint(args.run)
    if args.start:
        start = checkpoint(args.start)["model"]
        saved["model"] = {n: (1 - args.share) * start[n] + args.share * t for n, t in saved["model"].items()}
    if args.window:
        size = SIZES[saved["size"]]
        saved["config"] |= {"local": size.local, "far": size.far}
    dtype = torch.float16 if args.half else torch.float32
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.to(dtype).contiguous() for name, t in sorted(saved["model"].items())}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = Config(**saved["config"]).hugging_face() | {"torch_dtype": str(dtype).removeprefix("torch.")}
    write_atomically(out / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    write_atomically(out / "tokenizer.json", pathlib.Path(args.work, "tokenizer.json").read_bytes())
    print(f"{sum(t.numel() for t in tensors.values())} parameters, {saved['seen']} tokens seen -> {out}")


def add_plan(p: argparse.ArgumentParser, minutes: float):
    p.add_argument(
        "work", help="folder that `prepare` wrote; the parts that are there are used, others when they arrive"
    )
    p.add_argument("out", help="folder of the runs, one folder each")
    p.add_argument(
        "--minutes", type=float, default=minutes, help="wall time, evaluation included (default %(default)s)"
    )
    p.add_argument(
        "--tokens", type=float, default=0, help="end each run after this many tokens (default: the minutes decide)"
    )
    p.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: cuda if there is one, with bf16 and torch.compile"
    )
    p.add_argument("--bf16", action="store_true", help="bf16 autocast on a CPU: only where the processor has bf16")
    p.add_argument("--context", type=int, help="tokens of a training chunk (default 1,024)")
    p.add_argument("--step-tokens", type=int, help="tokens of a step (default 65,536)")
    p.add_argument("--warmup", type=int, help="steps until the rate is full (default 100)")
    p.add_argument("--rate", type=float, default=1.0, help="factor of the learning rates (default %(default)g)")
    p.add_argument("--cooldown", type=float, help="share of the run over which the rate falls to 0 (default 0.7)")
    p.add_argument("--windows", type=int, help="development windows of each kind (default 64)")
    p.add_argument("--save-seconds", type=float, help="between checkpoints (default 30)")
    p.add_argument("--toy", action="store_true", help="the size, context and steps of a test")
    p.add_argument("--child", type=int, default=0, help=argparse.SUPPRESS)
    p.add_argument("--since", type=float, default=0, help=argparse.SUPPRESS)


def add_prepare(p: argparse.ArgumentParser):
    p.add_argument("text_dir", help="folder of KIND.txt.xz; only documents of the train and dev splits are used")
    p.add_argument("work", help="folder to write")
    p.add_argument("--vocab", type=int, default=4096, help="tokens (default %(default)s)")
    p.add_argument("--tokenizer", metavar="FILE", default="", help="use this one (default: one is trained)")
    p.add_argument("--part-mib", type=float, default=40, help="largest size of a part (default %(default)s)")
    p.add_argument("--sample-chars", type=float, default=30e6, help="text for the tokenizer (default %(default)g)")
    p.add_argument("--limit-bytes", type=float, default=0, help="use only this much training text, shared as in MIX")
    p.add_argument("--dev-windows", type=int, default=128, help="windows kept of each kind (default %(default)s)")
    p.add_argument("--toy", action="store_true", help="1,024 tokens, 3 MB of text, parts of a quarter of a MiB")


def add_ablate(p: argparse.ArgumentParser):
    add_plan(p, 4)
    p.add_argument("--size", choices=SIZES, help="default nano; with --toy, toy")
    p.add_argument("--jobs", type=int, default=0, help="runs at a time (default: all on a GPU, 1 on a CPU)")
    p.add_argument("--variants", nargs="+", choices=VARIANTS, metavar="NAME", help="default: all")
    p.add_argument("--seeds", nargs="+", type=int, default=[1], help="a run for each (default 1)")


def add_train(p: argparse.ArgumentParser):
    add_plan(p, 9)
    p.add_argument("--from", dest="start", metavar="OUT", help="folder of other runs, whose weights to begin from")
    p.add_argument("--beside-expert", action="store_true", help="train the mixture with an expert, see expert.py")
    p.add_argument("--seed", dest="seeds", nargs=1, type=int, default=[1], help="default 1")
    p.add_argument("--sizes", nargs="+", choices=SIZES, metavar="SIZE", help="default: small mini micro nano")


def add_export(p: argparse.ArgumentParser):
    p.add_argument("work", help="folder that `prepare` wrote")
    p.add_argument("run", help="folder of one run, OUT/SIZE")
    p.add_argument("out", help="folder to write")
    p.add_argument("--start", metavar="RUN", help="export the average of this run's weights and those of the run")
    p.add_argument("--share", type=float, default=0.5, help="of the run in that average (default %(default)s)")
    p.add_argument("--half", action="store_true", help="store f16 instead of f32")
    p.add_argument("--window", action="store_true", help="give it the local window of its size, trained or not")


ABOUT = {
    "prepare": parts.__doc__,
    "ablate": """Compares variants of the model by bits per byte on the development split.

Each variant is trained on the same text. The size of its MLP is such that the decoder needs as many multiplications a
byte as for the baseline; variants.py says how they are counted. Because llmzip mixes the model with experts, variants
are also scored beside an expert ("+ expert"), whose mixing weights alone are trained after the variant. On a GPU
all variants are trained at once, on a CPU one after the other, each in its part of the minutes.

The variants are

"""
    + "\n".join(f"    {name:15} {shape.about}" for name, shape in VARIANTS.items()),
    "train": """Trains all sizes at once, and prints their bits per byte on the development split.

The rate is constant and then falls to 0, where it arrives when the minutes or the tokens end. A run may be killed at
any moment; the same command continues it from its last checkpoint. --minutes counts the time of all calls together.
Parts that arrive while models are trained are used from the next checkpoint on.
""",
    "export": """Writes config.json, tokenizer.json and model.safetensors, for `llmzip model add` and embed.sh.

A run that began from other weights has learned new text and forgotten some of the old. With --start, the average of the
weights before and after is exported, which keeps most of both.
""",
}
COMMANDS = {
    "prepare": (prepare, add_prepare),
    "ablate": (ablate, add_ablate),
    "train": (train, add_train),
    "export": (export, add_export),
}


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    main = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    commands = main.add_subparsers(dest="command", required=True)
    for name, (_, add_arguments) in COMMANDS.items():
        first = ABOUT[name].split("\n")[0].rstrip(".")
        add_arguments(commands.add_parser(name, help=first, description=ABOUT[name], formatter_class=raw))
    return main


def main():
    args = parser().parse_args()
    if args.command == "ablate":
        args.size = args.size or ("toy" if args.toy else "nano")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    COMMANDS[args.command][0](args)


if __name__ == "__main__":
    main()
