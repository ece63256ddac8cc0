"""Exact blocked search for the most and least similar items, full ranking with masks, and top-K metrics."""

from jmmrec.retrieval.judge import Questions, questions
from jmmrec.retrieval.metrics import METRICS, parse_metric, per_user
from jmmrec.retrieval.topk import Exclusion, Extremes, block_size, exclusion, extremes, top_n
from jmmrec.retrieval.vectors import normalise_rows, safe_norm

__all__ = [
    "METRICS", "Exclusion", "Extremes", "Questions", "block_size", "exclusion", "extremes", "normalise_rows",
    "parse_metric", "per_user", "questions", "safe_norm", "top_n",
]  # fmt: skip
