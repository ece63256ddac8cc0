"""Entropic optimal transport between tables of rows, in blocks; usable on its own. ott is imported when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jmmrec.ot.geometry import BlockedPointCloud

from jmmrec.ot.diagnosis import diagnose, marginal_error
from jmmrec.ot.plan import adjust, barycentre, both_directions, init_adjustment, whole_plan
from jmmrec.ot.sinkhorn import Potentials, SinkhornConfig, Solution, solve, zero_potentials

__all__ = [
    "BlockedPointCloud", "Potentials", "SinkhornConfig", "Solution", "adjust", "barycentre", "both_directions",
    "diagnose", "init_adjustment", "marginal_error", "solve", "whole_plan", "zero_potentials",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "BlockedPointCloud":
        return importlib.import_module("jmmrec.ot.geometry").BlockedPointCloud
    raise AttributeError(f"module 'jmmrec.ot' has no attribute {name!r}")
