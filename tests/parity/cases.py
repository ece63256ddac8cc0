"""How each model of the PyTorch toolbox is built and replayed here: settings, stored draws, names of loss terms."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from jmmrec.graph import keep_edges
from jmmrec.models import Backbone, BprMf, Freedom, LightGcn, Vbpr
from jmmrec.train.mdvt import Mdvt

TRS_BIASES = ("image_trs.bias", "text_trs.bias")


class Replay(NamedTuple):
    """What replaces chance: state and aux of training, and what the model's method `draws` gives out.

    `eval_draws` is for evaluation.
    """

    state: Any = ()
    aux: Any = ()
    draws: Any = None
    eval_draws: Any = None


def nothing_random(numbers: Mapping, model: Backbone, static: Any) -> Replay:
    """Models without state, hooks and draws."""
    return Replay()


@dataclasses.dataclass(frozen=True)
class Case:
    """One model.

    Attributes:
      build: settings of a file -> backbone. replay: (numbers, backbone, its static part) -> Replay.
      step_draws: (numbers, step) -> draws of one step of a trajectory, of its final evaluation for step -1.
        epoch_aux: (numbers, static, epoch) -> aux.
      terms: our name -> theirs, of loss terms that are called otherwise. sigmoid: their scores pass a sigmoid.
      zero: their parameters whose gradients cancel in exact maths.
      loose: name -> tolerance of its gradient, only for what the fixtures' README excepts.
      mdvt: options of the virtual triplets of its _VP file.
    """

    build: Callable[[dict], Backbone]
    replay: Callable[[Mapping, Backbone, Any], Replay] = nothing_random
    step_draws: Callable[[Mapping, int], Any] = lambda numbers, step: None
    epoch_aux: Callable[[Mapping, Any, int], Any] = lambda numbers, static, epoch: ()
    terms: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sigmoid: bool = False
    zero: tuple[str, ...] = ()
    loose: Mapping[str, float] = dataclasses.field(default_factory=dict)
    mdvt: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def replayed(model: Backbone, draws: Any) -> Backbone:
    """The same model with its `draws` fixed."""
    if draws is None:
        return model
    if isinstance(model, Mdvt):
        return dataclasses.replace(model, backbone=replayed(model.backbone, draws))
    cls = type(type(model).__name__, (type(model),), {"draws": lambda self, *args, **options: draws})
    return cls(**{f.name: getattr(model, f.name) for f in dataclasses.fields(model)})


def pruned(static: Any, kept: Any) -> Any:
    """FREEDOM's graph of the stored positions."""
    return keep_edges(static["edges"], jnp.sort(jnp.asarray(kept)))


CASES: dict[str, Case] = {
    "BPR": Case(lambda c: BprMf(embed_dim=c["embedding_size"], reg=c["reg_weight"], reg_form="norm")),
    "VBPR": Case(lambda c: Vbpr(embed_dim=c["embedding_size"], reg=c["reg_weight"], reg_form="norm")),
    "LightGCN": Case(
        lambda c: LightGcn(embed_dim=c["embedding_size"], n_layers=c["n_layers"], reg=c["reg_weight"], reg_form="norm")
    ),
    "FREEDOM": Case(
        lambda c: Freedom(
            embed_dim=c["embedding_size"],
            n_ui_layers=c["n_ui_layers"],
            n_mm_layers=c["n_mm_layers"],
            knn_k=c["knn_k"],
            visual_weight=c["mm_image_weight"],
            edge_drop=c["dropout"],
            modal_bpr_weight=c["reg_weight"],
        ),
        replay=lambda numbers, model, static: Replay(aux=pruned(static, numbers["buffer/kept_edges"])),
        epoch_aux=lambda numbers, static, epoch: pruned(static, numbers["epochs/kept_edges"][epoch]),
        zero=TRS_BIASES,
    ),
}
