"""Compression by the workers of a Ray cluster: ``import llmzip.ray``.

Files lie where all workers find them under the same path. A task has one thread, or ``threads`` of
them, and asks Ray for as many processors. A worker keeps its model open between tasks. Ray repeats
the tasks of a worker that is lost; ``ray_remote_args`` are the options of Ray's tasks, such as
``{"max_retries": 10}``. ``progress`` is called where the task runs.

Everything else that ``llmzip.compress`` takes, ``**options`` takes.
"""

import collections
import functools
import itertools

import pyarrow
import ray
from ray.data import Dataset, read_datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from . import _api, _cluster

__all__ = [
    "LlmzDatasource",
    "compress_dataset",
    "compress_file",
    "compress_files",
    "decompress",
    "decompress_file",
    "decompress_files",
    "read_llmz",
]

#: Tasks in flight for each processor: one that runs, and others behind one that takes longer.
_TASKS_PER_CPU = 4


def compress_file(
    path,
    output=None,
    frame_size=_cluster.FRAME_SIZE,
    level=None,
    *,
    overwrite=False,
    ray_remote_args=None,
    **options,
):
    """Compress a file, a frame by each task, and return the path of the output.

    ``output`` is ``path`` with ``.llmz`` unless it is named. It appears when it is whole, and has
    the bytes that ``llmzip compress --frame-size`` makes on one machine, with the same options.
    ``frame_size``: 1 byte to 512 MiB.
    """
    run, options = _engine(options, ray_remote_args)
    return _cluster.compress_file(run, path, output, frame_size, level, overwrite, options)


def decompress_file(path, output=None, *, overwrite=False, ray_remote_args=None, **options):
    """Decompress a file, frames at the same time, and return the path of the output.

    ``output`` is ``path`` without ``.llmz`` unless it is named. It appears when it is whole.
    """
    run, options = _engine(options, ray_remote_args)
    return _cluster.decompress_file(run, path, output, overwrite, options)


def compress_files(
    paths, folder, level=None, *, overwrite=False, ray_remote_args=None, **options
):
    """Compress files into ``folder``, each by a task, and return the paths of the outputs.

    ``paths``: a file, a folder, or several of both. What lies below a folder keeps its place. Files
    that end in ``.llmz`` are passed over.
    """
    run, options = _engine(options, ray_remote_args)
    return _cluster.compress_files(run, paths, folder, level, overwrite, options)


def decompress_files(paths, folder, *, overwrite=False, ray_remote_args=None, **options):
    """Decompress the ``.llmz`` files of ``paths`` into ``folder``, each by a task."""
    run, options = _engine(options, ray_remote_args)
    return _cluster.decompress_files(run, paths, folder, overwrite, options)


def compress_dataset(
    dataset, column="bytes", level=None, *, ray_remote_args=None, **options
) -> Dataset:
    """Compress the values of ``column``, each by itself; a ``str`` counts as UTF-8.

    ``ray.data.read_binary_files`` has its contents in the column ``bytes``.
    """
    options = {"threads": 1, **options}
    compress_row = functools.partial(_compress_row, column, level, options)
    return dataset.map(compress_row, **_remote(options, ray_remote_args))


def decompress(
    dataset, column="bytes", *, text=False, ray_remote_args=None, **options
) -> Dataset:
    """Decompress the values of ``column`` to ``bytes``, or with ``text=True`` to ``str``."""
    options = {"threads": 1, **options}
    decompress_row = functools.partial(_decompress_row, column, text, options)
    return dataset.map(decompress_row, **_remote(options, ray_remote_args))


def read_llmz(
    paths,
    *,
    lines=False,
    split=True,
    override_num_blocks=None,
    ray_remote_args=None,
    **options,
) -> Dataset:
    """Read ``.llmz`` files, and those in folders, as a data set. A task reads frames of one file.

    Each frame is a row: ``path``, ``offset`` in the original, and ``bytes``. With ``lines=True``
    each line is one: ``text``, in UTF-8, without its line feed. A line that goes on behind the
    frames of a task is an ``LlmzError``; ``split=False`` reads each file by one task. ``options``
    are those of ``llmzip.decompress``.
    """
    options = {"threads": 1, **options}
    remote = _remote(options, ray_remote_args)
    return read_datasource(
        LlmzDatasource(paths, lines=lines, split=split, options=options),
        override_num_blocks=override_num_blocks,
        num_cpus=remote.pop("num_cpus"),
        ray_remote_args=remote,
    )


class LlmzDatasource(Datasource):
    """What ``read_llmz`` reads, for ``ray.data.read_datasource``."""

    def __init__(self, paths, *, lines=False, split=True, options=None):
        super().__init__()
        self._rows = _line_blocks if lines else _frame_blocks
        self._options = options or {}
        self._files = _cluster.read_files(paths)
        self._split = split

    def estimate_inmemory_data_size(self):
        """Original bytes of all files."""
        return sum(file.original_size for file in self._files)

    def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
        """About ``parallelism`` tasks, each with frames of one file."""
        least = -(-self.estimate_inmemory_data_size() // max(1, parallelism))
        runs = _cluster.runs(self._files, least if self._split else None)
        return [
            ReadTask(
                functools.partial(self._rows, run, self._options),
                BlockMetadata(
                    num_rows=None,
                    size_bytes=run.original_size,
                    input_files=[run.source.path],
                    exec_stats=None,
                ),
                per_task_row_limit=per_task_row_limit,
            )
            for run in runs
        ]


def _frame_blocks(run, options):
    for offset, original in _cluster.pieces(run, options):
        yield pyarrow.table(
            {
                "path": pyarrow.array([run.source.path], pyarrow.string()),
                "offset": pyarrow.array([offset], pyarrow.int64()),
                "bytes": pyarrow.array([original], pyarrow.binary()),
            }
        )


def _line_blocks(run, options):
    for lines in _cluster.lines(run, options):
        yield pyarrow.table({"text": pyarrow.array(lines, pyarrow.string())})


def _compress_row(column, level, options, row):
    value = row[column]
    if isinstance(value, str):
        value = value.encode()
    if value is not None:
        value = _api.compress(value, level, **options)
    return {**row, column: value}


def _decompress_row(column, text, options, row):
    value = row[column]
    if value is not None:
        value = _api.decompress(value, **options)
        value = value.decode() if text else value
    return {**row, column: value}


def _engine(options, ray_remote_args):
    """How jobs run, and the options of each."""
    options = {"threads": 1, **options}
    return functools.partial(_run, _remote(options, ray_remote_args)), options


def _remote(options, ray_remote_args):
    return {"num_cpus": options["threads"] or 1, **(ray_remote_args or {})}


def _run(remote, function, jobs):
    """The results of ``function`` for ``jobs``, in their order."""
    task = ray.remote(_call).options(**remote)
    function = ray.put(function)
    jobs, waiting = iter(jobs), collections.deque()
    try:
        while True:
            most = _TASKS_PER_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))
            # Where machines have left, there may be more.
            for job in itertools.islice(jobs, max(0, most - len(waiting))):
                waiting.append(task.remote(function, job))
            if not waiting:
                return
            yield ray.get(waiting.popleft())
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _call(function, job):
    return function(job)
