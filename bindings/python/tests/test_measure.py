"""``bits_per_byte``, ``token_costs``, ``scaling`` and ``compare``."""

import subprocess
import sys

import llmzip
import numpy
import pandas
import pytest


def test_a_larger_model_knows_more(text, sentence):
    bits = [llmzip.bits_per_byte(sentence, model) for model in ("nano", "mini")]
    assert 8 > bits[0] > bits[1] > 0
    assert llmzip.bits_per_byte(sentence.decode(), "nano") == bits[0]
    with_experts = llmzip.bits_per_byte(text, "nano", experts=True)
    assert with_experts < llmzip.bits_per_byte(text, "nano")
    compressed = llmzip.compress(text, model="nano", streams=1)
    assert abs(len(compressed) * 8 / len(text) - with_experts) < 0.3


def test_costs_add_up_and_places_are_right(sentence):
    data = "Größe ".encode() + sentence
    costs = llmzip.token_costs(data, "nano")
    assert b"".join(costs.tokens) == data
    assert isinstance(costs.bits, numpy.ndarray) and costs.bits.dtype == numpy.float32
    assert costs.bits.shape == costs.offsets.shape == (len(costs.tokens),)
    for token, offset in zip(costs.tokens, costs.offsets):
        assert data[offset : offset + len(token)] == token
    assert len(costs.tokens) < len(data) / 2
    assert costs.bits.sum() / len(data) == pytest.approx(llmzip.bits_per_byte(data, "nano"))


def test_data_that_no_model_codes_is_measured(text):
    costs = llmzip.token_costs(bytes(range(256)) * 4, "nano")
    assert b"".join(costs.tokens) == bytes(range(256)) * 4
    assert llmzip.bits_per_byte(text, "none") > llmzip.bits_per_byte(text, "mini", experts=True)
    empty = llmzip.token_costs(b"", "nano")
    assert empty.tokens == [] and len(empty.bits) == 0


def test_wrong_texts_and_models_are_refused(sentence):
    with pytest.raises(ValueError):
        llmzip.bits_per_byte(b"")
    with pytest.raises(TypeError):
        llmzip.bits_per_byte(5)
    with pytest.raises(llmzip.LlmzError):
        llmzip.bits_per_byte(sentence, "no-such-model")


@pytest.fixture
def files(tmp_path, text, sentence):
    paths = [tmp_path / "long", tmp_path / "short"]
    paths[0].write_bytes(text)
    paths[1].write_bytes(sentence)
    return paths


def test_scaling_has_a_row_for_each_file_and_model(files, text):
    told = []
    frame = llmzip.scaling(files, ["mini", "nano"], progress=lambda *at: told.append(at))
    assert isinstance(frame, pandas.DataFrame) and told
    assert list(frame["model"]) == ["none", "nano", "mini"] * 2
    assert list(frame["file"]) == [str(files[0])] * 3 + [str(files[1])] * 3
    assert (frame["adjusted"] == frame["compressed"] + frame["model_bytes"]).all()
    assert (frame["cross_entropy_per_byte"] < frame["bits_per_byte"]).all()
    alone = llmzip.scaling(files[0], ["nano"], experts=False)
    alone = alone.set_index("model")["cross_entropy_per_byte"]["nano"]
    assert alone == pytest.approx(llmzip.bits_per_byte(text, "nano"))


def test_compare_has_a_row_for_each_file_and_compressor(files):
    frame = llmzip.compare(files[1], ["nano"])
    assert {"llmzip none", "llmzip nano"} < set(frame["compressor"])
    assert len(frame) > 6 and (frame["compress_seconds"] > 0).all()
    best = frame.sort_values("compressed").iloc[0]
    assert best["compressor"] == "llmzip nano" and best["ratio"] > 2


def test_without_other_packages_there_are_lists(files):
    hide = "import sys; sys.modules.update(numpy=None, pandas=None, polars=None); import llmzip;"
    ask = f"rows = llmzip.scaling({str(files[1])!r}, []); costs = llmzip.token_costs('a', 'nano');"
    check = "assert [row['model'] for row in rows] == ['none'] and type(costs.bits) is list"
    subprocess.run([sys.executable, "-c", hide + ask + check], check=True)


def test_polars_is_used_without_pandas(files):
    hide = "import sys; sys.modules.update(pandas=None); import llmzip, polars;"
    check = f"assert type(llmzip.scaling({str(files[1])!r}, [])) is polars.DataFrame"
    subprocess.run([sys.executable, "-c", hide + check], check=True)


def test_numbers_are_no_texts_and_a_model_may_be_named_alone(files):
    for measure in (llmzip.bits_per_byte, llmzip.token_costs):
        with pytest.raises(TypeError):
            measure(5)
    alone, listed = (len(llmzip.scaling(files, models)) for models in ("nano", ["nano"]))
    assert alone == listed
