"""Two clusters on this machine, data, and a worker's death."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory):
    """No test depends on installed models, and no package tells others that it is used."""
    os.environ["LLMZIP_HOME"] = str(tmp_path_factory.mktemp("home"))
    os.environ["HF_HOME"] = str(tmp_path_factory.mktemp("datasets"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYSPARK_PYTHON"] = sys.executable


@pytest.fixture(scope="session")
def ray_cluster():
    """Ray with three workers."""
    import ray

    ray.init(
        num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def spark():
    """Spark with two workers, which tries a task up to four times, as it does on clusters."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


class Engine:
    """The functions for files of a module, which take Spark's session as their first argument."""

    def __init__(self, module, *first):
        self._module = module
        self._first = first

    def __getattr__(self, name):
        function = getattr(self._module, name)
        return lambda *arguments, **options: function(*self._first, *arguments, **options)


@pytest.fixture(params=["ray", "spark"])
def engine(request):
    """Each of the clusters."""
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
        import llmzip.ray

        return Engine(llmzip.ray)
    import llmzip.spark

    return Engine(llmzip.spark, request.getfixturevalue("spark"))


@pytest.fixture(scope="session")
def text():
    """40,000 bytes of prose in lines."""
    documents = [ROOT / "docs" / name for name in ("FORMAT.md", "NUMERICS.md")]
    return b"".join(path.read_bytes() for path in documents)[:40_000]


@pytest.fixture
def folder(tmp_path, text):
    """A folder with files in it and below it; one is empty."""
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "first.txt").write_bytes(text[:20_000])
    (folder / "empty").write_bytes(b"")
    (folder / "below" / "first.txt").write_bytes(text[5000:9000])
    (folder / "below" / "bytes").write_bytes(bytes(range(256)) * 8)
    return folder


@pytest.fixture
def death(tmp_path):
    """A callback of progress that kills the first worker that calls it, and a note of that."""
    note = tmp_path / "death"
    path = str(note)

    # Both engines take functions inside of functions along to their workers.
    def kill_once(done, _made):
        import os
        import signal

        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return
        os.write(file, f"{os.getpid()} {done}".encode())
        os.kill(os.getpid(), signal.SIGKILL)

    return kill_once, note
