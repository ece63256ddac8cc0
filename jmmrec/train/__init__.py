"""Training: configuration, epochs, lanes, warm-up, searches, checkpoints, evaluation."""

from jmmrec.train.adversarial import Amr, with_amr
from jmmrec.train.checkpoint import Checkpoints
from jmmrec.train.config import TrainConfig
from jmmrec.train.evaluate import Evaluation, evaluate_split, merge_seeds
from jmmrec.train.lane import Lane, checksum
from jmmrec.train.loop import train_lanes
from jmmrec.train.mdvt import Mdvt, activated, with_mdvt
from jmmrec.train.reference import evaluate_scores, item_knn, popularity
from jmmrec.train.search import STRATEGIES, Search, WarmupConfig
from jmmrec.train.trainer import Trainer, check_monitor, check_tables, trainer
from jmmrec.train.warmup import Dynamic, Hybrid, Never, Static, WarmupState

__all__ = [
    "STRATEGIES", "Amr", "Checkpoints", "Dynamic", "Evaluation", "Hybrid", "Lane", "Mdvt", "Never", "Search", "Static",
    "TrainConfig", "Trainer", "WarmupConfig", "WarmupState", "activated", "check_monitor", "check_tables", "checksum",
    "evaluate_scores", "evaluate_split", "item_knn", "merge_seeds", "popularity", "train_lanes", "trainer", "with_amr",
    "with_mdvt",
]  # fmt: skip
