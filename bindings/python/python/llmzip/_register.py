"""Registers the suffix ``.llmz`` where programs open files: with fsspec and smart_open.

Neither is imported here, because that takes longer than everything else that ``import llmzip``
does. If one has been imported, it is told at once; if not, as soon as it is.
"""

import importlib.abc
import importlib.machinery
import sys

NAME = "llmz"
SUFFIX = ".llmz"


def _open(file, mode="rb", **options):
    from ._file import LlmzFile

    # Of a mode, only the direction matters: both packages handle text themselves.
    return LlmzFile(file, mode[0], **options)


def _with_fsspec(compression):
    if NAME not in compression.compr:
        compression.register_compression(NAME, _open, NAME)


def _with_smart_open(compression):
    if SUFFIX not in compression.get_supported_extensions():
        compression.register_compressor(SUFFIX, lambda file, mode: _open(file, mode))


_PACKAGES = {
    "fsspec.compression": _with_fsspec,
    "smart_open.compression": _with_smart_open,
}


class _Loader(importlib.abc.Loader):
    """Loads a module as its own loader does, and registers with it."""

    def __init__(self, loader, tell):
        self._loader = loader
        self._tell = tell

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._tell(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to register with, when they are imported for the first time."""

    def find_spec(self, name, path, target=None):
        tell = _PACKAGES.get(name)
        if tell is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, tell)
        return spec


def register():
    """Register with the packages that have been imported, and with the others when they are."""
    for name, tell in _PACKAGES.items():
        if module := sys.modules.get(name):
            tell(module)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
