"""Compression by the executors of a Spark cluster: ``import llmzip.spark``.

Files lie where driver and executors find them under the same path. A task has one thread, or
``threads`` of them, for which Spark sets ``spark.task.cpus``. A Python worker keeps its model open
between tasks. Spark repeats the tasks of a worker that is lost. ``progress`` is called where the
task runs.

Everything else that ``llmzip.compress`` takes, ``**options`` takes.
"""

import functools

import pandas
import pyarrow
from pyspark import StorageLevel
from pyspark.sql.functions import pandas_udf

from . import _api, _cluster

__all__ = [
    "compress",
    "compress_file",
    "compress_files",
    "decompress",
    "decompress_file",
    "decompress_files",
    "read_llmz",
]

#: Partitions of a job of the engine; those of more jobs have several.
_PARTITIONS = 10_000


def compress(df, column="content", level=None, **options):
    """Compress the values of ``column``, each by itself; a string counts as UTF-8.

    Files of the format ``binaryFile`` have their contents in the column ``content``; Spark leaves
    out empty ones. Lines of the format ``text`` are in ``value``.
    """
    compress_value = functools.partial(_compress_value, level, {"threads": 1, **options})

    @pandas_udf("binary")
    def compress_values(values: pandas.Series) -> pandas.Series:
        return pandas.Series(map(compress_value, values), dtype=object)

    return df.withColumn(column, compress_values(df[column]))


def decompress(df, column="content", *, text=False, **options):
    """Decompress the values of ``column`` to binary, or with ``text=True`` to strings."""
    decompress_value = functools.partial(_decompress_value, text, {"threads": 1, **options})

    @pandas_udf("string" if text else "binary")
    def decompress_values(values: pandas.Series) -> pandas.Series:
        return pandas.Series(map(decompress_value, values), dtype=object)

    return df.withColumn(column, decompress_values(df[column]))


def compress_file(
    spark,
    path,
    output=None,
    frame_size=_cluster.FRAME_SIZE,
    level=None,
    *,
    overwrite=False,
    **options,
):
    """Compress a file, a frame by each task, and return the path of the output.

    ``output`` is ``path`` with ``.llmz`` unless it is named. It appears when it is whole, and has
    the bytes that ``llmzip compress --frame-size`` makes on one machine, with the same options.
    ``frame_size``: 1 byte to 512 MiB.
    """
    run, options = _engine(spark, options)
    return _cluster.compress_file(run, path, output, frame_size, level, overwrite, options)


def decompress_file(spark, path, output=None, *, overwrite=False, **options):
    """Decompress a file, frames at the same time, and return the path of the output.

    ``output`` is ``path`` without ``.llmz`` unless it is named. It appears when it is whole.
    """
    run, options = _engine(spark, options)
    return _cluster.decompress_file(run, path, output, overwrite, options)


def compress_files(spark, paths, folder, level=None, *, overwrite=False, **options):
    """Compress files into ``folder``, each by a task, and return the paths of the outputs.

    ``paths``: a file, a folder, or several of both. What lies below a folder keeps its place. Files
    that end in ``.llmz`` are passed over.
    """
    run, options = _engine(spark, options)
    return _cluster.compress_files(run, paths, folder, level, overwrite, options)


def decompress_files(spark, paths, folder, *, overwrite=False, **options):
    """Decompress the ``.llmz`` files of ``paths`` into ``folder``, each by a task."""
    run, options = _engine(spark, options)
    return _cluster.decompress_files(run, paths, folder, overwrite, options)


def read_llmz(spark, paths, *, lines=False, split=True, **options):
    """Read ``.llmz`` files, and those in folders, as a data frame. A task reads frames of one file.

    Each frame is a row: ``path``, ``offset`` in the original, and ``content``. With ``lines=True``
    each line is one: ``value``, in UTF-8, without its line feed. A line that goes on behind the
    frames of a task is an ``LlmzError``; ``split=False`` reads each file by one task. ``options``
    are those of ``llmzip.decompress``.
    """
    runs = _cluster.runs(_cluster.read_files(paths), _cluster.RUN_SIZE if split else None)
    rows = _line_batches if lines else _frame_batches
    schema = "value string" if lines else "path string, offset bigint, content binary"
    return _on_executors(spark, functools.partial(rows, {"threads": 1, **options}), runs, schema)


def _line_batches(options, _, run):
    for lines in _cluster.lines(run, options):
        yield pyarrow.record_batch({"value": pyarrow.array(lines, pyarrow.string())})


def _frame_batches(options, _, run):
    for offset, original in _cluster.pieces(run, options):
        yield pyarrow.record_batch(
            {
                "path": pyarrow.array([run.source.path], pyarrow.string()),
                "offset": pyarrow.array([offset], pyarrow.int64()),
                "content": pyarrow.array([original], pyarrow.binary()),
            }
        )


def _compress_value(level, options, value):
    if pandas.isna(value):
        return None
    if isinstance(value, str):
        value = value.encode()
    return _api.compress(value, level, **options)


def _decompress_value(text, options, value):
    if pandas.isna(value):
        return None
    value = _api.decompress(value, **options)
    return value.decode() if text else value


def _engine(spark, options):
    """How jobs run, and the options of each."""
    return functools.partial(_run, spark), {"threads": 1, **options}


def _run(spark, function, jobs):
    """The results of ``function`` for ``jobs``, in their order. Executors keep them until then."""
    call = functools.partial(_call, function)
    results = _on_executors(spark, call, jobs, "number bigint, result binary")
    results = results.persist(StorageLevel.DISK_ONLY)
    try:
        if results.count() != len(jobs):
            raise RuntimeError("Spark has lost results")
        for expected, row in enumerate(results.toLocalIterator()):
            if row.number != expected:
                raise RuntimeError("Spark has changed the order of results")
            yield row.result
    finally:
        results.unpersist()


def _call(function, number, job):
    yield pyarrow.record_batch(
        {
            "number": pyarrow.array([number], pyarrow.int64()),
            "result": pyarrow.array([function(job)], pyarrow.binary()),
        }
    )


def _on_executors(spark, batches, jobs, schema):
    """The rows of ``batches(number, job)`` for all jobs, in partitions of a few in their order."""
    numbers = spark.range(0, len(jobs), 1, max(1, min(len(jobs), _PARTITIONS)))

    def rows(numbers):
        for batch in numbers:
            for number in batch.column(0).to_pylist():
                yield from batches(number, jobs[number])

    return numbers.mapInArrow(rows, schema)
