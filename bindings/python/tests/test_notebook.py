"""The notebook in ``examples`` runs from its first cell to its last."""

import pathlib

import nbclient
import nbformat

NOTEBOOK = pathlib.Path(__file__).parents[3] / "examples" / "measure.ipynb"


def test_the_notebook_runs(tmp_path):
    licence = NOTEBOOK.parents[1] / "LICENSE-APACHE"
    (tmp_path / licence.name).write_bytes(licence.read_bytes())
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs"), "it is stored without results"
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=100, resources=resources).execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
