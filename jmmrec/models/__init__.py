"""Backbones: one file of pure functions each, all behind the protocol of `jmmrec.models.base`."""

from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.bpr import BprMf
from jmmrec.models.freedom import Freedom
from jmmrec.models.lightgcn import LightGcn
from jmmrec.models.registry import MODELS, make, name_of
from jmmrec.models.vbpr import Vbpr

__all__ = ["MODELS", "Backbone", "Batch", "BprMf", "Card", "Encoded", "Freedom", "LightGcn", "Vbpr", "make", "name_of"]
