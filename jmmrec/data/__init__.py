"""Data sets: types, files, splits, synthetic truth, audit."""

from jmmrec.data.audit import describe, inspect
from jmmrec.data.dataset import SPLITS, Dataset, Modality, TrainingData
from jmmrec.data.description import Description, ModalityDescription
from jmmrec.data.formats import load
from jmmrec.data.splits import k_core, split
from jmmrec.data.synthetic import Synthetic, SyntheticConfig, Truth, demo_dataset, synthesize
from jmmrec.data.write import save

__all__ = [
    "SPLITS",
    "Dataset",
    "Description",
    "Modality",
    "ModalityDescription",
    "Synthetic",
    "SyntheticConfig",
    "TrainingData",
    "Truth",
    "demo_dataset",
    "describe",
    "inspect",
    "k_core",
    "load",
    "save",
    "split",
    "synthesize",
]
