"""Backbones of your own by name: `FILE.py:CLASS`, or `PACKAGE.MODULE:CLASS` of what can be imported."""

import dataclasses
import functools
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from jmmrec.errors import ConfigError, JmmrecError
from jmmrec.models.base import Backbone

PARTS = ("prepare", "init", "encode", "loss")


def own_class(name: str) -> type:
    """The class that a name with a colon means.

    Raises:
      ConfigError: the file or module cannot be loaded, has no such class, or that is no backbone whose options all have
        defaults.

    >>> own_class("jmmrec.models.bpr:BprMf").__name__
    'BprMf'
    """
    where, _, kind = name.rpartition(":")
    module = _loaded(where)
    found = getattr(module, kind, None)
    if not isinstance(found, type):
        classes = [n for n, one in vars(module).items() if isinstance(one, type) and one.__module__ == module.__name__]
        raise ConfigError(f"{where} has no class {kind!r}; it has {', '.join(classes) or 'none'}.")
    lacking = [part for part in PARTS if getattr(found, part, None) in (None, getattr(Backbone, part))]
    if lacking or not dataclasses.is_dataclass(found):
        what = f"it has no {lacking[0]}" if lacking else "it is no dataclass"
        raise ConfigError(f"{name} is no backbone: {what}; docs/architecture.md shows a whole one.")
    for field in dataclasses.fields(found):
        if field.default is dataclasses.MISSING:
            raise ConfigError(f"{name}: option {field.name} has no default; a backbone called by name needs them all.")
    return found


def named(model: Backbone) -> str | None:
    """The name by which a backbone's class can be found again; None where it was made in a notebook or a function.

    >>> from jmmrec.models.bpr import BprMf
    >>> named(BprMf())
    'jmmrec.models.bpr:BprMf'
    """
    cls = type(model)
    if cls.__module__ == "__main__" or getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is not cls:
        return None
    return f"{cls.__module__}:{cls.__qualname__}"


def _loaded(where: str) -> ModuleType:
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        path = Path(where).resolve()
        return _of_file(str(path), path.stat().st_mtime_ns)
    except JmmrecError:
        raise
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {where}; name the file that holds your backbone, as FILE.py:CLASS.") from error
    except Exception as error:  # whatever their code raises
        lines = [part for part in traceback.extract_tb(error.__traceback__) if Path(part.filename).name in where]
        at = f", line {lines[-1].lineno}" if lines else ""
        raise ConfigError(f"{where} cannot be loaded: {type(error).__name__}: {error}{at}.") from error


@functools.cache  # a class is static under jit: loaded twice it would be another one
def _of_file(path: str, written: int) -> ModuleType:
    """The file, as it was written then, as a module of its path, where dataclasses and pickles look it up."""
    spec = importlib.util.spec_from_file_location(path, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path]
        raise
    return module
