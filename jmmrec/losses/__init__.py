"""Scalar losses on arrays: pairwise ranking, virtual triplets, regularisers. Nothing here knows a model."""

from jmmrec.losses.bootstrap import cosine_gap
from jmmrec.losses.bpr import bpr, pair_margin
from jmmrec.losses.contrastive import info_nce, log_partition, two_view_nce
from jmmrec.losses.regularise import batch_norms, l2_squares, mean_squares
from jmmrec.losses.thresholds import threshold_means
from jmmrec.losses.variants import Selection, Variant, select
from jmmrec.losses.virtual import LOG_BASES, REDUCTIONS, mine, mine_rows, single_triplets, virtual_triplets

__all__ = [
    "LOG_BASES", "REDUCTIONS", "Selection", "Variant", "batch_norms", "bpr", "cosine_gap", "info_nce", "l2_squares",
    "log_partition", "mean_squares", "mine", "mine_rows", "pair_margin", "select", "single_triplets", "threshold_means",
    "two_view_nce", "virtual_triplets",
]  # fmt: skip
