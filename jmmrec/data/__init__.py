"""Data sets: types, files, splits, synthetic truth, audit."""

from jmmrec.data.audit import describe, inspect
from jmmrec.data.dataset import SPLITS, Dataset, Modality, TrainingData
from jmmrec.data.description import Description, ModalityDescription
from jmmrec.data.formats import as_dataset, load
from jmmrec.data.impute import impute
from jmmrec.data.masks import read_mask, save_mask
from jmmrec.data.missing import Shares, hide, item_groups, mask_of, shares, with_missing
from jmmrec.data.protocols import PROTOCOLS, draw_mask
from jmmrec.data.splits import k_core, split
from jmmrec.data.steps import replay, with_mask
from jmmrec.data.synthetic import Synthetic, SyntheticConfig, Truth, demo_dataset, synthesize
from jmmrec.data.write import save

__all__ = [
    "PROTOCOLS",
    "SPLITS",
    "Dataset",
    "Description",
    "Modality",
    "ModalityDescription",
    "Shares",
    "Synthetic",
    "SyntheticConfig",
    "TrainingData",
    "Truth",
    "as_dataset",
    "demo_dataset",
    "describe",
    "draw_mask",
    "hide",
    "impute",
    "inspect",
    "item_groups",
    "k_core",
    "load",
    "mask_of",
    "read_mask",
    "replay",
    "save",
    "save_mask",
    "shares",
    "split",
    "synthesize",
    "with_mask",
    "with_missing",
]
