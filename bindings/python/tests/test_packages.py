"""Other packages open files with the suffix ``.llmz``, and store arrays."""

import subprocess
import sys

import llmzip
import numpy
import pandas
import pytest


@pytest.fixture
def path(tmp_path, text):
    path = tmp_path / "text.txt.llmz"
    path.write_bytes(llmzip.compress(text, 1))
    return path


def test_fsspec_infers_the_compression(tmp_path, path, text):
    import fsspec

    with fsspec.open(path, "rb", compression="infer") as file:
        assert file.read() == text
    with fsspec.open(path, "rt", compression="infer") as file:
        assert file.read() == text.decode()
    written = tmp_path / "written.llmz"
    with fsspec.open(written, "wt", compression="infer") as file:
        file.write("a line\n")
    assert llmzip.decompress(written.read_bytes()) == b"a line\n"
    with fsspec.open(f"memory://{path.name}", "wb", compression="llmz") as file:
        file.write(text)
    with fsspec.open(f"memory://{path.name}", "rb", compression="infer") as file:
        file.seek(100)
        assert file.read(50) == text[100:150]


@pytest.mark.parametrize(
    "imports", ["import fsspec, llmzip", "import llmzip, fsspec", "import llmzip, fsspec.core"]
)
def test_the_order_of_imports_does_not_matter(path, imports):
    read = f"{imports}; f = fsspec.open({str(path)!r}, compression='infer'); f.open().read()"
    subprocess.run([sys.executable, "-c", read], check=True)


def test_importing_the_package_imports_no_other():
    check = "import sys, llmzip; assert not {'fsspec', 'numpy', 'smart_open'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_pandas_reads_and_writes_through_an_opened_file(tmp_path):
    import fsspec

    frame = pandas.DataFrame({"name": ["Ada", "Zoë"], "born": [1815, 1984]})
    path = tmp_path / "people.csv.llmz"
    with fsspec.open(path, "wt", compression="infer", encoding="utf-8") as file:
        frame.to_csv(file, index=False)
    with llmzip.open(path, "rt", encoding="utf-8") as file:
        assert pandas.read_csv(file).equals(frame)
    with fsspec.open(path, compression="infer") as file:
        assert pandas.read_csv(file).equals(frame)


def test_dask_reads_files(tmp_path):
    from dask import bag

    for i in range(3):
        with llmzip.open(tmp_path / f"{i}.txt.llmz", "wt", level=1) as file:
            file.write(f"first of {i}\nsecond of {i}\n")
    lines = bag.read_text(str(tmp_path / "*.llmz"), compression="infer")
    lines = lines.compute(scheduler="threads")
    assert sorted(lines) == sorted(f"{n} of {i}\n" for i in range(3) for n in ("first", "second"))


def test_a_compressed_archive_is_read_by_fsspec(tmp_path, text):
    import io
    import tarfile

    import fsspec

    path = tmp_path / "archive.tar.llmz"
    with llmzip.open(path, "wb", level=1) as file, tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("inner.txt")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    with fsspec.open(f"tar://inner.txt::file://{path}", tar={"compression": "llmz"}) as file:
        assert file.read() == text


def test_smart_open_knows_the_suffix(tmp_path, path, text):
    import smart_open

    with smart_open.open(path, "rb") as file:
        assert file.read() == text
    written = tmp_path / "written.llmz"
    with smart_open.open(written, "wt") as file:
        file.write("a line\n")
    with smart_open.open(written, "rt") as file:
        assert file.read() == "a line\n"


def test_the_codec_of_numcodecs(sentence):
    import numcodecs

    codec = numcodecs.get_codec({"id": "llmzip", "level": 5})
    assert codec.get_config() == {"id": "llmzip", "level": 5}
    assert numcodecs.get_codec(codec.get_config()) == codec
    assert codec.decode(codec.encode(sentence)) == sentence
    array = numpy.arange(1000, dtype="f8").reshape(20, 50)
    encoded = codec.encode(array)
    out = numpy.empty_like(array)
    codec.decode(encoded, out)
    assert (out == array).all() and len(encoded) < array.nbytes / 2
    with pytest.raises(llmzip.LlmzError):
        codec.decode(b"wrong")


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_stores_arrays(tmp_path, version):
    import zarr
    from llmzip.numcodecs import Llmzip
    from llmzip.zarr import LlmzCodec

    array = numpy.random.default_rng(1).integers(0, 9, (30, 40))
    stored = zarr.create_array(
        tmp_path / "array",
        shape=array.shape,
        dtype=array.dtype,
        chunks=(10, 10),
        compressors=Llmzip(level=1) if version == 2 else LlmzCodec(level=1),
        zarr_format=version,
    )
    stored[:] = array
    assert stored.nbytes_stored() < array.nbytes
    read = f"import zarr; print(zarr.open_array({str(tmp_path / 'array')!r})[:].sum())"
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, check=True)
    assert int(done.stdout) == array.sum()
