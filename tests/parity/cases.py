"""How each model of the PyTorch toolbox is built and replayed here: settings, stored draws, names of loss terms."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.graph import keep_edges
from jmmrec.graph.lists import list_pattern
from jmmrec.models import (
    Backbone,
    Bm3,
    BprMf,
    Dragon,
    Freedom,
    Grcn,
    Lattice,
    LgmRec,
    LightGcn,
    Mgcn,
    MmGcn,
    SlmRec,
    Vbpr,
)
from jmmrec.train.mdvt import Mdvt

THEIR_NAMES = {"image": "visual", "text": "text"}
TRS_BIASES = ("image_trs.bias", "text_trs.bias")


class Replay(NamedTuple):
    """What replaces chance: state and aux of training, and what the model's method `draws` gives out.

    `eval_draws` is for evaluation. `features` replace those of the files.
    """

    state: Any = ()
    aux: Any = ()
    draws: Any = None
    eval_draws: Any = None
    features: Any = None


def nothing_random(numbers: Mapping, model: Backbone, static: Any) -> Replay:
    """Models without state, hooks and draws."""
    return Replay()


@dataclasses.dataclass(frozen=True)
class Case:
    """One model.

    Attributes:
      build: settings of a file -> backbone. replay: (numbers, backbone, its static part) -> Replay.
      step_draws: (numbers, step) -> draws of one step of a trajectory, of its final evaluation for step -1.
        epoch_aux: (numbers, static, epoch) -> aux. step_features: numbers -> features instead of the files'.
      terms: our name -> theirs, of loss terms that are called otherwise; None: a sum that they do not store.
      sigmoid: their scores pass a sigmoid.
      zero: their parameters whose gradients cancel in exact maths.
      gradients: name of a parameter -> of its gradient, where they call it otherwise.
      loose: name -> tolerance of its gradient, only for what the fixtures' README excepts.
      mdvt: options of the virtual triplets of its _VP file.
    """

    build: Callable[[dict], Backbone]
    replay: Callable[[Mapping, Backbone, Any], Replay] = nothing_random
    step_draws: Callable[[Mapping, int], Any] = lambda numbers, step: None
    epoch_aux: Callable[[Mapping, Any, int], Any] = lambda numbers, static, epoch: ()
    step_features: Callable[[Mapping], dict] = lambda numbers: {}
    terms: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    sigmoid: bool = False
    zero: tuple[str, ...] = ()
    gradients: Mapping[str, str] = dataclasses.field(default_factory=dict)
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


def kept_targets(numbers: Mapping, model: Any, static: Any) -> Replay:
    """BM3's masks: stored for whole tables, here for the rows of the batch."""
    rows = {"user": numbers["batch/users"]} | dict.fromkeys(("item", "modal/text", "modal/image"), numbers["batch/pos"])
    theirs = {"user": "user", "item": "item", "modal/text": "text", "modal/image": "visual"}
    return Replay(
        draws={
            ours: jnp.asarray(numbers[f"train_draws/dropout_mask/{name}"][rows[ours]] / np.float32(1 - model.drop))
            for ours, name in theirs.items()
        }
    )


def frozen_tables(numbers: Mapping, model: Any, static: Any) -> Replay:
    """MMGCN's ids and preferences, which are no parameters, and what an epoch begins with."""
    n_users = len(numbers["tensor/v_gcn.preference"])
    ids = jnp.asarray(numbers["tensor/id_embedding"])
    letters = {"image": "v", "text": "t"}
    preference = {name: jnp.asarray(numbers[f"tensor/{s}_gcn.preference"]) for name, s in letters.items()}
    state = {"user": ids[:n_users], "item": ids[n_users:], "preference": preference}
    return Replay(state, model.epoch({}, state, static, None)[1])


def stored_user_graph(numbers: Mapping, model: Any, static: Any) -> Replay:
    """DRAGON's lists with their repeats; which neighbours were chosen among equals is theirs.

    Its frozen copies of the features were changed like all parameters.
    """
    features = {name: jnp.asarray(numbers[f"param/{name}_embedding.weight"]) for name in static["features"]}
    lists = jnp.asarray(numbers["buffer/epoch_user_graph"])
    graph = list_pattern(lists, len(lists)).weighted(jnp.asarray(numbers["buffer/user_weight_matrix"]).ravel())
    return Replay(draws=graph, eval_draws=graph, features=features)


def their_tables(numbers: Mapping, prefix: str = "param/") -> dict:
    """Frozen copies of the features, which were changed like all parameters."""
    return {name: jnp.asarray(numbers[f"{prefix}{name}_embedding.weight"]) for name in ("image", "text")}


def hyperedge_draws(numbers: Mapping, prefix: str, masks: str | None = None, at: Any = ...) -> dict:
    """LGMRec's Gumbel noise and, in training, the kept entries, of users and of items."""
    keep = np.float32(numbers.meta["config"]["keep_rate"])

    def _one(side: str, name: str) -> tuple:
        kept = 1.0 if masks is None else jnp.asarray(numbers[f"{prefix}{masks}/{side}_{name}"][at] / keep)
        return jnp.asarray(numbers[f"{prefix}gumbel/{side}_{name}"][at]), kept

    return {ours: [_one(side, name) for side in ("user", "item")] for ours, name in THEIR_NAMES.items()}


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
    "LATTICE": Case(
        lambda c: Lattice(
            embed_dim=c["embedding_size"],
            cf_model=c["cf_model"],
            n_ui_layers=len(c["weight_size"]),
            n_layers=c["n_layers"],
            knn_k=c["knn_k"],
            lambda_coeff=c["lambda_coeff"],
            reg=c["reg_weight"],
            nominal_batch=c["train_batch_size"],
        ),
        replay=lambda numbers, model, static: Replay(model.init(jax.random.key(0), static)[1]),
        terms={"reg": "emb"},
    ),
    "DRAGON": Case(
        lambda c: Dragon(
            embed_dim=c["embedding_size"],
            n_mm_layers=c["n_mm_layers"],
            knn_k=c["knn_k"],
            visual_weight=c["mm_image_weight"],
            reg=c["reg_weight"],
        ),
        replay=stored_user_graph,
        terms={
            "bpr": "bpr_log2",
            "reg_image": "reg_v_preference",
            "reg_text": "reg_t_preference",
            "reg_weight": "reg_weight_u",
        },
        gradients={f"{letter}_gcn.preference": f"{letter}_preference" for letter in "tv"},
    ),
    "MMGCN": Case(
        lambda c: MmGcn(embed_dim=c["embedding_size"], reg=c["reg_weight"], reg_tables="visual"),
        replay=frozen_tables,
        terms={"reg_preference_image": "reg_v_preference"},
        mdvt={"users": "batch", "item_pool": "batch"},
    ),
    "GRCN": Case(
        lambda c: Grcn(embed_dim=c["embedding_size"], reg=c["reg_weight"]),
        terms={
            "reg_whole_image": "reg_v_preference_all",
            "reg_image": "reg_v_preference_batch",
            "reg_text": "reg_t_preference_batch",
        },
    ),
    "SLMRec": Case(
        lambda c: SlmRec(
            embed_dim=c["recdim"],
            n_layers=c["layer_num"],
            tau=c["temp"],
            ssl_weight=c["ssl_alpha"],
            ssl_tau=c["ssl_temp"],
            fusion=c["mm_fusion_mode"],
            ssl_task=c["ssl_task"].lower(),
        ),
        terms={"bpr": "main_infonce", "fac_image": "fac_id_visual", "fac_text": "fac_idvisual_text"},
        sigmoid=True,
        zero=("g_v_iv.bias", "g_t_ivat.bias"),
    ),
    "BM3": Case(
        lambda c: Bm3(
            embed_dim=c["embedding_size"],
            n_layers=c["n_layers"],
            drop=c["dropout"],
            modal_weight=c["cl_weight"],
            reg=c["reg_weight"],
        ),
        replay=kept_targets,
        terms={
            "bpr": None,
            "user_item": "ui",
            "item_user": "iu",
            "align_text": "t",
            "align_image": "v",
            "self_text": "tv",
            "self_image": "vt",
        },
    ),
    "LGMRec": Case(
        lambda c: LgmRec(
            embed_dim=c["embedding_size"],
            n_ui_layers=c["n_ui_layers"],
            n_mm_layers=c["n_mm_layers"],
            n_hyper_layers=c["n_hyper_layer"],
            hyper_num=c["hyper_num"],
            keep_rate=c["keep_rate"],
            alpha=c["alpha"],
            cl_weight=c["cl_weight"],
            reg=c["reg_weight"],
        ),
        replay=lambda numbers, model, static: Replay(
            draws=hyperedge_draws(numbers, "train_draws/", "dropout_mask"),
            eval_draws=hyperedge_draws(numbers, "eval_draws/"),
            features=their_tables(numbers),
        ),
        step_draws=lambda numbers, step: (
            hyperedge_draws(numbers, "final/eval_draws/")
            if step < 0
            else hyperedge_draws(numbers, "steps/", "dropout", step)
        ),
        step_features=lambda numbers: their_tables(numbers, "init/param/"),
    ),
    "MGCN": Case(
        lambda c: Mgcn(
            embed_dim=c["embedding_size"],
            n_ui_layers=c["n_ui_layers"],
            n_layers=c["n_layers"],
            knn_k=c["knn_k"],
            cl_weight=c["cl_loss"],
            reg=c["reg_weight"],
            nominal_batch=c["train_batch_size"],
        ),
        terms={"reg": "emb"},
        loose={"query_common.0.bias": 1.4e-4},
    ),
}
