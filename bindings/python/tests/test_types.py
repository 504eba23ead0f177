"""The stubs say what the package has, and the README's lines run."""

import pathlib
import re
import subprocess
import sys

import llmzip
import pytest

PACKAGE = pathlib.Path(__file__).parent.parent
READMES = [PACKAGE / "README.md", PACKAGE.parent.parent / "README.md"]


def test_stubs_agree_with_the_package(tmp_path):
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nignore_missing_imports = true\n")
    # numcodecs has no types of its own; Ray and Spark are only where tests/cluster/ runs.
    allowed = tmp_path / "allowed"
    allowed.write_text("llmzip.numcodecs.*\nllmzip.ray.*\nllmzip.spark.*\n")
    words = ["llmzip", "--mypy-config-file", config, "--allowlist", allowed]
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", *words, "--ignore-unused-allowlist"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_public_is_described():
    for name in llmzip.__all__:
        assert getattr(llmzip, name).__doc__, name
    for kind in (llmzip.LlmzCompressor, llmzip.LlmzDecompressor, llmzip.LlmzDict, llmzip.LlmzFile):
        for name, member in vars(kind).items():
            if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                assert member.__doc__, f"{kind.__name__}.{name}"


@pytest.mark.parametrize("readme", READMES)
def test_the_lines_of_the_readmes_run(tmp_path, monkeypatch, text, readme):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("book.txt").write_bytes(text)
    lines = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert lines
    exec("\n".join(lines), {})
