"""What a finished run says: statistics, tables, figures, progress on the way."""

from jmmrec.report.comparison import comparison_table
from jmmrec.report.evaluations import EvaluationLike
from jmmrec.report.plots import plot_groups, plot_history
from jmmrec.report.progress import Progress, peak_memory
from jmmrec.report.stats import Comparison, Interval, bootstrap, crossed_test, holm, interval, matched, paired_test
from jmmrec.report.tables import Estimate, Table

__all__ = [
    "Comparison",
    "Estimate",
    "EvaluationLike",
    "Interval",
    "Progress",
    "Table",
    "bootstrap",
    "comparison_table",
    "crossed_test",
    "holm",
    "interval",
    "matched",
    "paired_test",
    "peak_memory",
    "plot_groups",
    "plot_history",
]
