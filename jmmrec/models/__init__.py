"""Backbones: one file of pure functions each, all behind the protocol of `jmmrec.models.base`."""

from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.bm3 import Bm3
from jmmrec.models.bpr import BprMf
from jmmrec.models.ci2mg import Ci2mg
from jmmrec.models.dragon import Dragon
from jmmrec.models.freedom import Freedom
from jmmrec.models.grcn import Grcn
from jmmrec.models.hccf import Hccf
from jmmrec.models.lattice import Lattice
from jmmrec.models.lgmrec import LgmRec
from jmmrec.models.lightgcn import LightGcn
from jmmrec.models.lightgcn_m import LightGcnM
from jmmrec.models.mgcn import Mgcn
from jmmrec.models.mmgcl import Mmgcl
from jmmrec.models.mmgcn import MmGcn
from jmmrec.models.mmssl import Mmssl
from jmmrec.models.ncl import Ncl
from jmmrec.models.ngcf import Ngcf
from jmmrec.models.registry import MODELS, as_backbone, class_of, make, name_of, varied
from jmmrec.models.sgl import Sgl
from jmmrec.models.slmrec import SlmRec
from jmmrec.models.vbpr import Vbpr

__all__ = [
    "MODELS", "Backbone", "Batch", "Bm3", "BprMf", "Card", "Ci2mg", "Dragon", "Encoded", "Freedom", "Grcn", "Hccf",
    "Lattice", "LgmRec", "LightGcn", "LightGcnM", "Mgcn", "MmGcn", "Mmgcl", "Mmssl", "Ncl", "Ngcf", "Sgl", "SlmRec",
    "Vbpr", "as_backbone", "class_of", "make", "name_of", "varied",
]  # fmt: skip
