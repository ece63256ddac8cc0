"""Searches: over any option of a run, and MDVT's whole grid on shared trunks. They choose on valid alone."""

from jmmrec.tuning.grid import Grid, GridResult, mdvt_grid
from jmmrec.tuning.space import Choices, Range, axis, draw, product
from jmmrec.tuning.trials import Found, Trial, search

__all__ = [
    "Choices", "Found", "Grid", "GridResult", "Range", "Trial", "axis", "draw", "mdvt_grid", "product", "search",
]  # fmt: skip
