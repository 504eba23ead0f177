"""Data sets of Hugging Face's ``datasets``: what docs/PYTHON.md says of them."""

import re

import llmzip
import pytest
from conftest import ROOT


@pytest.fixture
def paths(tmp_path):
    """Two files of three lines and of two."""
    paths = [str(tmp_path / name) for name in ("first.txt.llmz", "second.txt.llmz")]
    for path, lines in zip(paths, (["a", "", "Zoë"], ["b", "last"])):
        with llmzip.open(path, "wt", level=1, encoding="utf-8") as file:
            file.write("\n".join(lines))
    return paths


def test_the_lines_of_the_document_run(paths):
    document = (ROOT / "docs" / "PYTHON.md").read_text()
    (code,) = re.findall(r"```python\n(import datasets\n.*?)```", document, re.DOTALL)
    names = {"paths": paths}
    exec(code, names)
    wanted = ["a", "", "Zoë", "b", "last"]
    assert names["dataset"]["text"] == wanted
    assert [row["text"] for row in names["stream"]] == wanted
    assert names["stream"].num_shards == 2


def test_the_loader_of_texts_does_not_know_the_suffix(paths):
    import datasets

    with pytest.raises(datasets.exceptions.DatasetGenerationError):
        datasets.load_dataset("text", data_files=paths)
