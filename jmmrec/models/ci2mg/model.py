"""CI²MG (Lin et al., ACM MM'23): missing modalities generated within a modality and between them, and contrasted.

    F_m = X̄_m A_mᵀ + a_m;  F^U_m = D_u⁻¹ R F_m,  F^V_m = D_v⁻¹ Rᵀ F^U_m;  X^U, X^V: propagated ids        (1, 2)
    H_m = softmax(cos(F^V_m, E_m)/τ),  Q_m = L times σ(D⁻¹ H W B⁻¹ Hᵀ ·) of F^V_m                          (3-5)
    Q̂_m = 1/(M-1) Σ_m' (diag(1/μ) T^mm' + ΔT_mm') Q_m',  T: optimal transport between Q_m and Q_m'         (6-9)
    Z_m = σ(BN([Q_m; Q̂_m] W_m + b_m)),  user = [X^U; F^U_1; ...; F^U_M],  item = [X^V; Z_1; ...; Z_M]      (11, 13)
    L = bpr + λ1 Σ_m InfoNCE(Q_m → Q̂_m) + λ2 Σ_m mean_observed ‖Z_m - sg(F_m)‖² + λ3 ‖ids‖²/2b     (10, 12, 14, 15)

What the paper leaves open: docs/models/ci2mg.md.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jmmrec.data.dataset import TrainingData
from jmmrec.errors import ConfigError, check_choice, check_whole
from jmmrec.losses import l2_squares
from jmmrec.models.base import Backbone, Batch, Card, Encoded
from jmmrec.models.ci2mg import inputs, inter, plans, setup, task, terms
from jmmrec.models.ci2mg.ids import Ids, id_layers
from jmmrec.models.ci2mg.inputs import Inputs, Tables
from jmmrec.models.ci2mg.intra import Hyper, intra_tables
from jmmrec.models.ci2mg.options import group
from jmmrec.models.ci2mg.plans import Transport
from jmmrec.models.ci2mg.task import Fuse
from jmmrec.models.ci2mg.terms import Objective
from jmmrec.models.common import batch_bpr, batch_rows
from jmmrec.models.layers import dropout, named_key

GROUPS = {"inputs": Inputs, "ids": Ids, "hyper": Hyper, "ot": Transport, "fuse": Fuse, "terms": Objective}


@dataclasses.dataclass(frozen=True)
class Ci2mg(Backbone):
    """CI²MG over any number of modalities; a lone one has nothing to be generated from and is its own Q̂.

    Attributes:
      embed_dim: width of ids and of each modality. intra: hypergraph generation (Eqs. 3-5). inter: generation from
        other modalities (Eqs. 6-9). conl: their contrast (Eq. 10). task: task-guided generation (Eqs. 11, 12).
      optimiser: `single`, or `split`: what generates learns at 0.6 of the rate (the paper's second optimiser).
      inputs: from features to Eq. 1. ids: Eq. 2. hyper: Eqs. 3-5. ot: Eqs. 6-9. fuse: Eq. 11. terms: losses and score.

    >>> Ci2mg(hyper={"n_prototypes": 256}).hyper.n_prototypes
    256
    """

    joined = "concat"
    card = Card(
        "Lin et al., CI2MG, ACM MM", 2023, "1 or more",
        "(U + I) d + Σ D_m d + M (K + 2 d) d + 2 M (M - 1) I r, r = 8",
        "12 (M + L) E d + 6 Σ n_m D_m d + 12 M L I K d + (4 M (M - 1) + 6 M) I² d, n_m observed items")  # fmt: skip
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-4, "batch_size": 1024, "decay": 0.96}

    embed_dim: int = 64
    intra: bool = True
    inter: bool = True
    conl: bool = True
    task: bool = True
    optimiser: str = "single"
    inputs: Inputs = Inputs()
    ids: Ids = Ids()
    hyper: Hyper = Hyper()
    ot: Transport = Transport()
    fuse: Fuse = Fuse()
    terms: Objective = Objective()

    def __post_init__(self) -> None:
        check_whole("embed_dim", self.embed_dim, 1, 1 << 16)
        check_choice("optimiser", self.optimiser, ("single", "split"))
        for name, cls in GROUPS.items():
            object.__setattr__(self, name, group(cls, name, getattr(self, name)))
        if self.conl and not (self.intra and self.inter):
            raise ConfigError("conl contrasts intra with inter; switch both on, or conl off.")

    @property
    def paces(self) -> Mapping[str, float]:
        """With `split` those of what generates: 3e-4 beside 5e-4."""
        return dict.fromkeys(setup.GENERATING, 0.6) if self.optimiser == "split" else {}

    def prepare(self, data: TrainingData) -> dict:
        """Graphs by both normalisations, items without training users, observed rows of each modality."""
        return inputs.prepare(data, self.inputs)

    def init(self, key: jax.Array, static: dict) -> tuple[dict, dict]:
        """Fresh parameters; statistics of 0 and 1; potentials solved from nothing."""
        params = setup.parameters(key, static, self)
        start = self._solved(params, static, None, 1).potentials if self.inter and len(static["known"]) > 1 else ()
        return params, {"norm": setup.statistics(static, self), "potentials": start}

    def _solved(self, params: dict, static: dict, start: Any, iterations: int) -> Any:
        """All pairs' transport as the parameters stand."""
        made = intra_tables(params, static, inputs.tables(params, static, self.inputs, {}, {})[1], self.hyper)
        return plans.solve_pairs(made, static["present"], start, iterations, self.ot)

    def epoch(self, params, state: dict, static: dict, key: jax.Array) -> tuple[dict, Any]:
        """With `ot.refresh` epoch: solves all pairs for the epoch, warm from the last potentials."""
        if self.ot.refresh != "epoch" or not state["potentials"]:
            return state, ()
        solution = self._solved(params, static, state["potentials"], self.ot.epoch_iterations)
        return state | {"potentials": solution.potentials}, plans.kept(solution, self.ot)

    def draws(self, key: jax.Array, names: list[str], n_items: int) -> Tables:
        """Dropout masks of projected features, by name; none without dropout."""
        keep, shape = 1.0 - self.inputs.dropout, (n_items, self.embed_dim)
        return {name: dropout(named_key(key, name), keep, shape) for name in names} if keep < 1 else {}

    def encode(self, params, state, static, aux, *, features=None, key=None, train) -> Encoded:
        """Ids and every modality's block side by side."""
        drop = self.draws(key, list(static["known"]), len(static["cold"])) if train and key is not None else {}
        target, views = inputs.tables(params, static, self.inputs, features or {}, drop)
        made = intra_tables(params, static, views, self.hyper)
        given = (params, state, static, aux, made, self.ot, train)
        other, solved = inter.inter_tables(*given) if state["potentials"] else (made, {})
        items, seen = task.item_blocks(params, state["norm"], made, other, self.fuse, self.task, train)
        table = id_layers(params, static["mean"], static["sym"], self.ids)
        aggregate = self.terms.score_user == "generated"
        users = task.gathered(static["mean"], items) if aggregate else {name: user for name, (user, _) in views.items()}
        modal = {"id": table} | task.blocks({name: (users[name], items[name]) for name in items}, self.terms.score_norm)
        user, item = (jnp.concatenate(side, axis=1) for side in zip(*modal.values(), strict=True))
        extra = {"target": target, "intra": made, "inter": other, "norm": seen, "known": static["known"], "made": items}
        return Encoded(user, item, modal, extra | solved | {"present": static["present"]})

    def loss(self, params, encoded: Encoded, batch: Batch, key) -> tuple[jax.Array, dict]:
        """Ranking, contrast of intra and inter, reconstruction, squares of the batch's ids."""
        extra, weights = encoded.extra, self.terms
        reg = l2_squares(batch_rows(params, batch), batch.mask)
        found = {"bpr": batch_bpr(encoded.user, encoded.item, batch), "reg": reg}
        total = found["bpr"] + weights.reg * found["reg"]
        if self.conl and "error" in extra:
            found |= terms.contrasts(extra["intra"], extra["inter"], batch, weights)
            total = total + weights.contrast * found["contrast"]
        if self.task:
            found["reconstruction"] = terms.reconstructions(params.get("decode", {}), encoded, weights)
            total = total + weights.reconstruct * found["reconstruction"]
        return total, found | ({"transport_error": extra["error"]} if "error" in extra else {})

    def after_batch(self, state: dict, encoded: Encoded, batch: Batch) -> dict:
        """Running statistics; with `ot.refresh` step the potentials of this step's solve."""
        if self.task and self.fuse.batch_norm:
            state = state | {"norm": task.moved(state["norm"], encoded.extra["norm"], self.fuse.momentum)}
        fresh = self.ot.refresh == "step" and "potentials" in encoded.extra
        return state | ({"potentials": encoded.extra["potentials"]} if fresh else {})

    def remarks(self, parts: Mapping[str, float]) -> tuple[str, ...]:
        """Whether the transport had converged in the last epoch, and whether the contrast teaches anything."""
        return inter.remarks(parts, self.ot) + terms.remarks(parts, self.terms)
