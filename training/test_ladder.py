"""The whole way at toy size, on a CPU in two minutes: python -m pytest training/test_ladder.py

The text is made here. LLMZIP may name a built binary; the last test is skipped without it.
"""

import csv
import json
import lzma
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import data
import expert
import parts
from model import SIZES, attend
from run import Plan, Schedule
from variants import MLP_STEP, VARIANTS, at_equal_time, multiplications

KINDS = ["books", "code", "logs"]
SYLLABLES = [a + b for a in "bcdfglmnprst" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "ou")]


def made_up_document(rng: random.Random, words: list[str], size: int) -> str:
    text = []
    while size > 0:
        sentence = " ".join(rng.choices(words, k=rng.randint(4, 12)))
        text.append(f"{sentence.capitalize()}, {rng.randint(1, 2000)} ü.\n")
        size -= len(text[-1])
    return "".join(text)


@pytest.fixture(scope="session")
def text_dir(tmp_path_factory) -> pathlib.Path:
    """Three kinds of 120 documents with words of their own."""
    folder = tmp_path_factory.mktemp("text")
    for kind in KINDS:
        rng = random.Random(kind)
        words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(3000)]
        documents = [made_up_document(rng, words, 6_000) for _ in range(120)]
        (folder / f"{kind}.txt.xz").write_bytes(lzma.compress("".join(d + "\0" for d in documents).encode(), preset=0))
    return folder


def ladder(*arguments, check=True) -> subprocess.CompletedProcess:
    command = [sys.executable, HERE / "ladder.py", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


@pytest.fixture(scope="session")
def work(text_dir, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("work") / "work"
    ladder("prepare", "--toy", text_dir, folder)
    return folder


def train_arguments(work, out) -> list:
    return ["train", "--toy", "--device", "cpu", "--tokens", 200_000, "--minutes", 5, work, out]


def curve(out: pathlib.Path) -> list[tuple]:
    rows = csv.DictReader((out / "toy" / "train.csv").open())
    return [(r["step"], r["tokens"], r["rate"], r["loss_nats_per_token"]) for r in rows]


@pytest.fixture(scope="session")
def trained(work, tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    ladder(*train_arguments(work, out))
    return out


def test_splits_are_disjoint(text_dir):
    by_use = {use: set(data.load(text_dir, "books", use)) for use in ("train", "dev", "apart")}
    everything = {d.decode() for d in data.read_documents(text_dir / "books.txt.xz")}
    assert set.union(*by_use.values()) == everything
    assert sum(map(len, by_use.values())) == len(everything)
    assert by_use["dev"] and len(by_use["dev"]) < len(by_use["train"]) / 5


def test_shares_are_whole():
    assert sum(data.MIX.values()) == pytest.approx(1)


def test_parts_hold_the_training_text_once(text_dir, work):
    """Parts together are the tokens of all training documents, and each part has every kind."""
    read = parts.Work(work)
    read.unpack()
    assert len(read.ready()) == len(read.manifest["parts"]) > 1
    for kind in KINDS:
        whole = data.encode_documents(
            read.tokenizer, data.load(text_dir, kind, "train", int(3e6 * data.shares_of(KINDS)[kind]))
        )
        pieces = [read.tokens(p)[kind] for p in read.ready()]
        assert all(len(p) for p in pieces)
        assert np.array_equal(np.sort(np.concatenate(pieces)), np.sort(whole))
        assert sum(map(len, pieces)) == read.counts(kind)["tokens"]


def test_a_damaged_part_is_not_used(work, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(work, copy, ignore=shutil.ignore_patterns("unpacked", "wide"))
    (copy / "part-01.xz").write_bytes((copy / "part-01.xz").read_bytes()[:-100])
    assert parts.Work(copy).unpack() == [p["file"] for p in parts.Work(copy).manifest["parts"][1:]]


def test_the_cut_tokenizer_is_the_smaller_one(text_dir):
    sample = list(data.balanced_sample(text_dir, 200_000))
    assert (
        data.cut_tokenizer(data.train_tokenizer(sample, 600), 400).get_vocab()
        == data.train_tokenizer(sample, 400).get_vocab()
    )


def test_retokenised_text_is_the_same(work):
    read = parts.Work(work)
    wide = parts.as_text(parts.Tokenizer.from_file(str(work / "tokenizer-wide.json")))
    ids = data.encode_documents(read.tokenizer, ["one document", "zwei Wörter", ""])
    spelled, spelled_wide = data.token_bytes(read.tokenizer), data.token_bytes(wide)
    again = parts.retokenise(ids, spelled, wide)
    assert b"|".join(spelled_wide[i] for i in again).replace(b"|", b"") == b"".join(spelled[i] for i in ids)
    assert (again == 0).sum() == (ids == 0).sum() == 3


def test_the_schedule_ends_at_zero_in_time():
    """By the minutes; and when the steps become slower, the rate falls on from where it is."""
    schedule = Schedule(Plan(minutes=1, cooldown=0.5, warmup=1))
    assert not schedule.decide(100, 29, 0.1) and schedule.factor(100) == 1
    assert schedule.decide(300, 30, 0.1) and schedule.decay == (300, 570, 1.0)
    assert not schedule.decide(435, 44, 0.1)
    assert schedule.decide(435, 44, 0.2) and schedule.decay == (435, 507, 0.5)
    assert schedule.factor(435) == 0.5 and schedule.factor(471) == 0.25 and schedule.is_over(507)


def test_the_schedule_keeps_to_the_tokens():
    schedule = Schedule(Plan(minutes=10, tokens=100 * 65_536, cooldown=0.5, warmup=1))
    assert not schedule.decide(49, 1, None) and schedule.decide(50, 1, None) and schedule.decay == (50, 100, 1.0)


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_cost_the_same(name):
    base = SIZES["nano"]
    config = at_equal_time(base, VARIANTS[name], base.vocab, 1.0)
    step = multiplications(config, VARIANTS[name]) / multiplications(base, VARIANTS["llama"])
    assert abs(step - 1) < 3 * base.layers * base.hidden * MLP_STEP / multiplications(base, VARIANTS["llama"])


def test_prefixes_are_counted():
    base = SIZES["nano"]
    costs = [multiplications(base, VARIANTS[name]) for name in ("llama", "prefix")]
    assert costs[1] - costs[0] == 2 * base.heads * base.head_dim * VARIANTS["prefix"].prefix  # in the last layer


def said(found: expert.Evidence, place: int) -> dict[int, float]:
    return {t: c for t, c in zip(found.tokens[place].tolist(), found.counts[place].tolist()) if c}


def test_evidence_is_what_followed_the_same_tokens():
    ids = np.array([5, 1, 2, 3, 9, 1, 2, 3, 9, 2, 3])
    found = expert.find_evidence(ids, 4)
    assert found.longest.tolist() == [0, 1, 2, 3, 4, 1, 2]  # of the places 4 to 10
    w = [float(weight) for weight in expert.WEIGHTS]
    expected = [{}, {2: w[1]}, {3: w[2]}, {9: w[3]}, {1: w[4]}, {3: 2 * w[1]}, {9: 2 * w[2]}]
    assert [said(found, place) for place in range(7)] == [pytest.approx(e) for e in expected]


def test_long_matches_and_many_places_are_cut():
    ids = np.array([*range(1, 13), *range(1, 13)])
    found = expert.find_evidence(ids, 12)
    assert found.longest.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]
    assert said(found, 9) == {11: pytest.approx(float(expert.WEIGHTS[8]))}
    latest = expert.PLACES_BY_ORDER[1]
    ids = np.array([x for n in range(1, 10) for x in (20, n)] + [20])
    assert said(expert.find_evidence(ids, len(ids) - 1), 0).keys() == set(range(10 - latest, 10))


def test_evidence_knows_only_the_past():
    ids = np.random.default_rng(1).integers(0, 6, 400)
    whole, cut = expert.find_evidence(ids, 100), expert.find_evidence(ids[:300], 100)
    for name in ("tokens", "counts", "longest"):
        assert getattr(whole, name)[:200].equal(getattr(cut, name)), name


@pytest.mark.parametrize("length", [4, 7])
def test_local_attention_sees_the_window(length):
    """Values that are unit vectors show which positions a query sees."""
    import torch

    q = k = torch.zeros(1, 1, length, 8)
    v = torch.eye(8)[None, None, :length]
    seen = [set(row.nonzero().flatten().tolist()) for row in attend(q, k, v, 2)[0, 0]]
    assert seen == [{0}] + [{i - 1, i} for i in range(1, length)]


def test_local_attention_in_blocks_is_attention_with_a_mask():
    import torch

    q, k, v = torch.randn(3, 2, 3, 96, 8, generator=torch.Generator().manual_seed(1)).unbind()
    cut = attend(q[:, :, :90], k[:, :, :90], v[:, :, :90], 32)  # with a mask, since 90 is no multiple of 32
    assert torch.allclose(attend(q, k, v, 32)[:, :, :90], cut, atol=1e-6)


def test_training_goes_on_beside_the_expert(work, trained, tmp_path):
    import torch

    start = torch.load(trained / "toy/last.pt")
    (tmp_path / "start/toy").mkdir(parents=True)
    torch.save({n: start[n] for n in ("model", "config")}, tmp_path / "start/toy/last.pt")  # both without momenta
    for name, more in (("alone", []), ("beside", ["--beside-expert"])):
        arguments = [*train_arguments(work, tmp_path / name), "--from", tmp_path / "start", *more]
        ladder(*arguments)
    alone, beside = (float(curve(tmp_path / name)[-1][3]) for name in ("alone", "beside"))
    assert beside < alone, "what was said before is no help"
    result = tmp_path / "beside/toy/result.json"
    first = json.loads(result.read_text())["bits_per_byte"]
    result.unlink()
    ladder(*arguments)  # from the last checkpoint, which knows the expert's weights
    assert json.loads(result.read_text())["bits_per_byte"] == first
    result.unlink()
    done = ladder(*arguments[:-1], check=False)
    assert done.returncode and "must go on so" in done.stdout + done.stderr


def test_a_killed_run_continues_with_the_same_losses(work, trained, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, HERE / "ladder.py", *map(str, train_arguments(work, out))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / "toy" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "toy" / "result.json").exists(), "killed too late to prove anything"
    ladder(*train_arguments(work, out))
    assert "continues at step" in (out / "toy" / "log.txt").read_text()
    assert curve(out) == curve(trained) and len(curve(out)) == 19
    results = [json.loads((o / "toy" / "result.json").read_text())["bits_per_byte"] for o in (out, trained)]
    assert results[0] == results[1]


def test_ablations_print_a_table(work, tmp_path):
    names = ["llama", "bigram-16k", "two-level-wide"]
    done = ladder(
        "ablate", "--toy", "--device", "cpu", "--tokens", 20_000, "--minutes", 2, work, tmp_path, "--variants", *names
    )
    assert "| mean |" in done.stdout and all(n in done.stdout for n in [*names, "llama + expert"])


def exported(work, trained, tmp_path) -> pathlib.Path:
    ladder("export", work, trained / "toy", tmp_path / "hf")
    return tmp_path / "hf"


def llmzip(home: pathlib.Path, *arguments) -> str:
    program = os.environ.get("LLMZIP")
    if not program:
        pytest.skip("LLMZIP names no binary")
    environment = {**os.environ, "LLMZIP_HOME": str(home)}
    command = [program, *map(str, arguments)]
    return subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout


def test_the_program_computes_what_was_trained(work, trained, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The local window of 32 positions is shorter than this text, one line after another.\n" * 4)
    folder = exported(work, trained, tmp_path)
    checked = llmzip(tmp_path / "home", "model", "check", "--no-candle", folder, text)
    of_program = float(re.search(r"f32 .* (\S+) bits per byte", checked)[1])
    command = [sys.executable, HERE / "evaluate.py", trained / "toy/last.pt", work / "tokenizer.json", text]
    scored = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert of_program == pytest.approx(float(scored.split()[-1]), abs=2e-4)
    settings = json.loads((folder / "config.json").read_text())
    assert settings["sliding_window"] == SIZES["toy"].local
    assert settings["layer_types"] == ["full_attention", "sliding_attention"]


def test_a_model_is_exported_with_a_window_that_it_was_not_trained_with(work, trained, tmp_path):
    saved = torch.load(trained / "toy/last.pt", weights_only=True)
    saved["config"] |= {"local": 0, "far": -1}
    torch.save(saved, tmp_path / "last.pt")
    for window, types in [([], None), (["--window"], ["full_attention", "sliding_attention"])]:
        ladder("export", work, tmp_path, tmp_path / "out", *window)
        assert json.loads((tmp_path / "out/config.json").read_text()).get("layer_types") == types


def test_the_export_compresses(work, trained, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("A text that the model compresses and that must come back, byte for byte.\n" * 20)
    llmzip(tmp_path / "home", "model", "add", "--name", "toy", exported(work, trained, tmp_path))
    llmzip(tmp_path / "home", "compress", "-m", "toy", text)
    original = text.read_bytes()
    text.unlink()
    llmzip(tmp_path / "home", "decompress", str(text) + ".llmz")
    assert text.read_bytes() == original


def test_the_export_may_be_an_average(work, trained, tmp_path):
    import torch
    from safetensors.torch import load_file

    start = torch.load(trained / "toy/last.pt")
    start["model"] = {name: torch.zeros_like(tensor) for name, tensor in start["model"].items()}
    (tmp_path / "zeros").mkdir()
    torch.save(start, tmp_path / "zeros/last.pt")
    ladder("export", work, trained / "toy", tmp_path / "hf", "--start", tmp_path / "zeros", "--share", 0.25)
    whole, average = torch.load(trained / "toy/last.pt")["model"], load_file(tmp_path / "hf/model.safetensors")
    assert average.keys() == whole.keys()
    assert all(torch.equal(average[name], 0.25 * whole[name]) for name in whole)


def test_a_packed_model_becomes_a_checkpoint(text_dir, work, trained, tmp_path):
    import torch

    packed = tmp_path / "toy.llmzmodel"
    folder = exported(work, trained, tmp_path)
    llmzip(tmp_path / "home", "model", "add", folder, "--activation-bits", 8, "--output", packed)
    subprocess.run([sys.executable, HERE / "unpack.py", packed, "toy", tmp_path / "start"], check=True)
    assert (tmp_path / "start/tokenizer.json").read_text() == (folder / "tokenizer.json").read_text()
    before, after = (torch.load(p / "toy/last.pt")["model"] for p in (trained, tmp_path / "start"))
    for name, tensor in before.items():
        step = tensor.abs().amax(-1, keepdim=True) / 127
        assert ((tensor - after[name]).abs() <= step * 0.51).all(), name

    ladder("prepare", "--toy", "--tokenizer", tmp_path / "start/tokenizer.json", text_dir, tmp_path / "more")
    assert not (tmp_path / "more/tokenizer-wide.json").exists(), "it trained a tokenizer"
    of_work, of_more = (json.loads((w / "parts.json").read_text()) for w in (work, tmp_path / "more"))
    assert of_work["parts"] == of_more["parts"]
    arguments = train_arguments(tmp_path / "more", tmp_path / "out")
    arguments[arguments.index("--tokens") + 1] = 20_000
    ladder(*arguments, "--from", tmp_path / "start", "--rate", 0.1)
    assert float(curve(tmp_path / "out")[0][3]) < float(curve(trained)[-1][3]) + 0.1
