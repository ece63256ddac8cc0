"""Backbones of your own by name: `FILE.py:CLASS`, or `PACKAGE.MODULE:CLASS` of what can be imported."""

import ast
import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import textwrap
import traceback
from pathlib import Path
from types import ModuleType

from jmmrec.errors import ConfigError
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
    if wrong := _wrong(found):
        raise ConfigError(f"{name} is no backbone: {wrong}; docs/architecture.md shows a whole one.")
    for field in dataclasses.fields(found):
        if field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{name}: option {field.name} has no default; a backbone called by name needs them all.")
    return found


def _wrong(found: type) -> str:
    """What a class lacks to be a backbone."""
    if Backbone not in found.__mro__:
        return "it is no subclass of jmmrec.models.Backbone"
    if not dataclasses.is_dataclass(found):
        return "it is no dataclass"
    lacking = [part for part in PARTS if getattr(found, part) is getattr(Backbone, part)]
    return f"it has no {lacking[0]}" if lacking else ""


def check_backbone(model: object) -> None:
    """Raises `ConfigError` unless it is a backbone: not a class, not a name, nothing without the protocol's methods.

    >>> from jmmrec.models.bpr import BprMf
    >>> check_backbone(BprMf())
    """
    if isinstance(model, type):
        raise ConfigError(f"model is the class {model.__name__}; give one of its kind, {model.__name__}(), or a name.")
    if not all(callable(getattr(model, method, None)) for method in ("prepare", "init", "encode", "loss")):
        raise ConfigError(f"model is {model!r}; give a backbone, such as LightGcn(), or an instance of your own class.")
    try:
        hash(model)
    except TypeError as error:
        kind = type(model).__name__
        raise ConfigError(
            f"{kind} cannot be static under jit ({error}); make it a frozen dataclass of numbers, words and tuples."
        ) from error


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


def source_digest(cls: type, alone: bool = False) -> str:
    """Of the code of the file that a class stands in, whatever its comments and its layout; empty where it has none.

    Args:
      alone: of the class without what is around it, as in a script that says what to do with it, or in a notebook.

    >>> from jmmrec.models.bpr import BprMf
    >>> len(source_digest(BprMf))
    16
    """
    try:
        source = inspect.getsourcefile(cls) or ""
        text = textwrap.dedent(inspect.getsource(cls)) if alone else Path(source).read_text(encoding="utf-8")
        return hashlib.sha256(ast.dump(ast.parse(text)).encode()).hexdigest()[:16]
    except (OSError, TypeError, SyntaxError):
        return ""


def _loaded(where: str) -> ModuleType:
    """The file or module; what it imports may lie beside it, or in the working directory."""
    if not where:
        raise ConfigError("there is nothing before the colon; name a backbone of your own as FILE.py:CLASS.")
    path = Path(where).resolve()
    if where.endswith(".py") and not path.is_file():
        raise ConfigError(f"there is no {where}; name the file that holds your backbone, as FILE.py:CLASS.")
    beside = str(path.parent if where.endswith(".py") else Path.cwd())
    if beside not in sys.path:
        sys.path.append(beside)  # last: nothing is hidden by it
    try:
        return _of_file(str(path), path.stat().st_mtime_ns) if where.endswith(".py") else importlib.import_module(where)
    except Exception as error:  # whatever their code raises
        lines = [part for part in traceback.extract_tb(error.__traceback__) if part.filename == str(path)]
        at = f", line {lines[-1].lineno}" if lines else ""
        package = where.endswith(".py") and isinstance(error, ImportError) and (path.parent / "__init__.py").exists()
        fix = "; a file of a package is called PACKAGE.MODULE:CLASS, from the folder that holds the package" * package
        raise ConfigError(f"{where} cannot be loaded: {type(error).__name__}: {error}{at}{fix}.") from error


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
