"""jmmrec: multimodal recommendation in JAX."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jmmrec.api import evaluate, fit
    from jmmrec.data import Dataset, Modality, describe, impute, load, save, synthesize, with_missing
    from jmmrec.models import MODELS, BprMf, Freedom, LightGcn, Vbpr
    from jmmrec.result import Result
    from jmmrec.runs import open_run, save_run
    from jmmrec.summary import compare, write_summary
    from jmmrec.train import Amr, Mdvt, TrainConfig, WarmupConfig, with_amr, with_mdvt

__version__ = "0.1.0.dev0"

# Loaded when first used, so that `import jmmrec` costs next to nothing.
_HOME = {
    "jmmrec.api": ("evaluate", "fit"),
    "jmmrec.data": ("Dataset", "Modality", "describe", "impute", "load", "save", "synthesize", "with_missing"),
    "jmmrec.models": ("MODELS", "BprMf", "Freedom", "LightGcn", "Vbpr"),
    "jmmrec.result": ("Result",),
    "jmmrec.runs": ("open_run", "save_run"),
    "jmmrec.summary": ("compare", "write_summary"),
    "jmmrec.train": ("Amr", "Mdvt", "TrainConfig", "WarmupConfig", "with_amr", "with_mdvt"),
}
_PARTS = (
    "augment", "data", "graph", "interop", "knockout", "losses", "models", "ot", "report", "retrieval", "train",
    "tuning",
)  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "MODELS", "Amr", "BprMf", "Dataset", "Freedom", "LightGcn", "Mdvt", "Modality", "Result", "TrainConfig", "Vbpr",
    "WarmupConfig", "compare", "describe", "evaluate", "fit", "impute", "load", "open_run", "save", "save_run",
    "synthesize", "with_amr", "with_mdvt", "with_missing", "write_summary",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"jmmrec.{name}")
    if name not in _MODULE:
        raise AttributeError(f"module 'jmmrec' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PARTS})
