"""The command line of the package is the program's."""

import os
import pathlib
import signal
import subprocess
import sys
import sysconfig

import llmzip
import pytest

MODULE = [sys.executable, "-m", "llmzip"]
SCRIPTS = pathlib.Path(sysconfig.get_path("scripts"))


def run(*words, program=MODULE, **options):
    options = {"capture_output": True, "timeout": 100} | options
    return subprocess.run([*program, *map(os.fspath, words)], **options)


@pytest.mark.parametrize("program", [MODULE, [SCRIPTS / "llmzip"]])
def test_a_file_is_compressed_and_restored(tmp_path, text, program):
    path = tmp_path / "text"
    path.write_bytes(text)
    done = run("compress", "-3", path, program=program)
    assert (done.returncode, done.stdout) == (0, b"")
    compressed = tmp_path / "text.llmz"
    assert compressed.read_bytes() == llmzip.compress(text, 3)
    assert run("cat", compressed, program=program).stdout == text
    path.unlink()
    assert run("-d", compressed, program=program).returncode == 0
    assert path.read_bytes() == text


def test_the_other_names_work(tmp_path, text):
    path = tmp_path / "text.llmz"
    path.write_bytes(llmzip.compress(text, 1))
    assert run(path, program=[SCRIPTS / "llmzcat"]).stdout == text
    assert run(path, program=[SCRIPTS / "unllmzip"]).returncode == 0
    assert (tmp_path / "text").read_bytes() == text


def test_a_filter_between_pipes(text):
    compressed = run("-1", input=text).stdout
    assert run("-d", input=compressed).stdout == text


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--version"], 0), (["--help"], 0), (["--colour"], 2), (["-d", "absent.llmz"], 1)],
)
def test_exit_codes(words, code):
    done = run(*words)
    assert done.returncode == code
    assert (done.stderr == b"") == (code == 0)
    assert b"Traceback" not in done.stderr


def test_messages_name_the_program():
    assert run("compres", "a").stderr.startswith(b"llmzip: ")
    assert run("--version").stdout.startswith(b"llmzip ")


def test_a_closed_output_is_noticed(tmp_path, text):
    path = tmp_path / "text"
    path.write_bytes(text)
    done = run("-1", "-c", path, program=["sh", "-c", 'exec "$@" >&-', "sh", *MODULE])
    assert done.returncode == 1 and b"closed" in done.stderr


def test_a_broken_pipe_ends_the_program_as_the_signal_would(tmp_path, text):
    path = tmp_path / "text"
    path.write_bytes(os.urandom(1000) * 1000)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run("-1", "-c", path, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_and_leaves_nothing_behind(tmp_path, text, number):
    path = tmp_path / "text"
    path.write_bytes(text * 50)
    # Jobs that a script has put into the background ignore SIGINT, and so would the program.
    process = subprocess.Popen(
        [*MODULE, "-v", "-6", path],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(number)
    _, message = process.communicate(timeout=20)
    assert process.returncode == -number and b"Traceback" not in message
    assert os.listdir(tmp_path) == ["text"]


def test_a_report_starts_the_program_again(tmp_path, sentence):
    path = tmp_path / "text"
    path.write_bytes(sentence)
    done = run("compare", "--format", "csv", "-m", "nano", path)
    assert done.returncode == 0, done.stderr
    assert b"xz" in done.stdout and b"llmzip nano" in done.stdout


def test_importing_the_module_runs_nothing():
    done = subprocess.run([sys.executable, "-c", "import llmzip.__main__"], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
