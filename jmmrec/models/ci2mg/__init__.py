"""CI²MG: a file for each part, its options beside the functions they steer; `model` puts them together."""

from jmmrec.models.ci2mg.ids import Ids
from jmmrec.models.ci2mg.inputs import Inputs
from jmmrec.models.ci2mg.intra import Hyper
from jmmrec.models.ci2mg.model import Ci2mg
from jmmrec.models.ci2mg.plans import Transport
from jmmrec.models.ci2mg.task import Fuse
from jmmrec.models.ci2mg.terms import Objective

__all__ = ["Ci2mg", "Fuse", "Hyper", "Ids", "Inputs", "Objective", "Transport"]
