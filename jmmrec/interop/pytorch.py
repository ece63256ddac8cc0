"""Parameters of models trained in the PyTorch toolbox, into ours and back; PyTorch itself is not needed.

A state dict is taken as named arrays (`{k: v.numpy() for k, v in model.state_dict().items()}`, or tensors as they are)
and turned into the parameter tree of the same model here, every name and shape checked.
"""

import pathlib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.errors import CheckpointError, ConfigError
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
    Mmssl,
    SlmRec,
    Vbpr,
    name_of,
)
from jmmrec.train.wrapper import innermost

# Their name -> place in our tree. {m} stands for each modality, {s} for the letter that they have for it; on our side
# alone {m} stands for column blocks of one matrix, side by side in the order of `modalities`. None: they have it, but
# it plays no part. A tuple: column blocks in this order, {text} and {image} standing for our names of these.
TABLE: dict[type, dict[str, str | tuple[str, ...] | None]] = {
    BprMf: {"user_embedding.weight": "user", "item_embedding.weight": "item"},
    Vbpr: {
        "u_embedding": "user",
        "i_embedding": "item",
        "item_linear.weight": "weight/{m}",
        "item_linear.bias": "bias",
    },
    LightGcn: {"embedding_dict.user_emb": "user", "embedding_dict.item_emb": "item"},
    Freedom: {
        "user_embedding.weight": "user",
        "item_id_embedding.weight": "item",
        "{m}_trs.weight": "project/{m}/weight",
        "{m}_trs.bias": "project/{m}/bias",
        "{m}_embedding.weight": "features/{m}",
    },
    SlmRec: {
        "embedding_user.weight": "user",
        "embedding_item.weight": "item",
        "{s}_dense.weight": "project/{m}/weight",
        "{s}_dense.bias": "project/{m}/bias",
        **{
            f"embedding_{side}_after_GCN.weight": tuple(
                f"fusion/{side}/weight/{channel}" for channel in ("id", "{image}", "{text}")
            )
            for side in ("user", "item")
        },
        **{f"embedding_{side}_after_GCN.bias": f"fusion/{side}/bias" for side in ("user", "item")},
        **{
            f"{theirs}.{part}": None if ours is None else (f"chain/{ours}/{part}",)
            for theirs, ours in {
                "g_i_iv": "chain/{image}",
                "g_v_iv": "own/{image}",
                "g_iv_iva": "between",
                "g_a_iva": None,
                "g_iva_ivat": "chain/{text}",
                "g_t_ivat": "own/{text}",
            }.items()
            for part in ("weight", "bias")
        },
    },
    Mmssl: {  # mode published; its discriminator is state, not a parameter
        "user_id_embedding.weight": "user",
        "item_id_embedding.weight": "item",
        "{m}_trans.weight": "project/{m}/weight",
        "{m}_trans.bias": "project/{m}/bias",
        "weight_dict.w_self_attention_cat": "mix",
        "{m}_embedding.weight": None,
        **{f"weight_dict.{name}": None for name in ("w_q", "w_k", "w_v")},
        **{f"weight_dict.w_self_attention_{side}": None for side in ("user", "item")},
        **{f"{name}.{part}": None for name in ("common_trans", "batch_norm") for part in ("weight", "bias")},
    },
    Bm3: {
        "user_embedding.weight": "user",
        "item_id_embedding.weight": "item",
        "predictor.weight": "predict/weight",
        "predictor.bias": "predict/bias",
        "{m}_trs.weight": "project/{m}/weight",
        "{m}_trs.bias": "project/{m}/bias",
        "{m}_embedding.weight": "features/{m}",
    },
    LgmRec: {
        "user_embedding.weight": "user",
        "item_id_embedding.weight": "item",
        "item_{m}_trs": "project/{m}",
        "{s}_hyper": "hyper/{m}",
        "{m}_embedding.weight": None,
    },
    Mgcn: {
        "user_embedding.weight": "user",
        "item_id_embedding.weight": "item",
        "{m}_embedding.weight": "features/{m}",
        "query_common.2.weight": "score",
        **{
            f"{theirs}.{part}": f"{ours}/{part}"
            for theirs, ours in {
                "{m}_trs": "project/{m}",
                "gate_{s}.0": "gate/{m}",
                "gate_{m}_prefer.0": "prefer/{m}",
                "query_common.0": "query",
            }.items()
            for part in ("weight", "bias")
        },
    },
    MmGcn: {
        "{s}_gcn.MLP.weight": "branch/{m}/project/weight",
        "{s}_gcn.MLP.bias": "branch/{m}/project/bias",
        **{f"{{s}}_gcn.conv_embed_{n}.weight": f"branch/{{m}}/{n}/conv" for n in "123"},
        **{
            f"{{s}}_gcn.{theirs}{n}.{part}": f"branch/{{m}}/{n}/{ours}/{part}"
            for theirs, ours in {"linear_layer": "own", "g_layer": "mix"}.items()
            for n in "123"
            for part in ("weight", "bias")
        },
    },
    Lattice: {
        "user_embedding.weight": "user",
        "item_id_embedding.weight": "item",
        "{m}_trs.weight": "project/{m}/weight",
        "{m}_trs.bias": "project/{m}/bias",
        "{m}_embedding.weight": "features/{m}",
        "modal_weight": ("modal_weight/{image}", "modal_weight/{text}"),
    },
    Dragon: {
        "{s}_gcn.preference": "user/{m}",
        **{
            f"{{s}}_gcn.{theirs}.{part}": f"{ours}/{{m}}/{part}"
            for theirs, ours in {"MLP": "hidden", "MLP_1": "out"}.items()
            for part in ("weight", "bias")
        },
        "weight_u": ("weight/{image}", "weight/{text}"),
        "weight_i": None,
        "{m}_embedding.weight": None,
        **{f"MLP_{letter}.weight": None for letter in "tv"},
        **{f"{name}.{part}": None for name in ("{m}_trs", "MLP_user") for part in ("weight", "bias")},
    },
    Grcn: {
        "id_gcn.id_embedding": ("user", "item"),
        "model_specific_conf": ("trust/user", "trust/item"),
        "{s}_gcn.preference": "preference/{m}",
        "{s}_gcn.MLP.weight": "project/{m}/weight",
        "{s}_gcn.MLP.bias": "project/{m}/bias",
    },
}

# Matrices that they store (in, out).
TRANSPOSED: dict[type, tuple[str, ...]] = {
    LgmRec: ("item_{m}_trs", "{s}_hyper"),
    MmGcn: tuple(f"{{s}}_gcn.conv_embed_{n}.weight" for n in "123"),
    Mmssl: ("weight_dict.w_self_attention_cat",),
}

# Those whose blocks stand below each other, not side by side.
STACKED: dict[type, tuple[str, ...]] = {Grcn: ("id_gcn.id_embedding", "model_specific_conf")}

# Those that end in an axis of one.
ENDS_IN_ONE: dict[type, tuple[str, ...]] = {Dragon: ("weight_u",)}

LETTERS = {"text": "t", "image": "v"}

# Their name of each modality and ours, in the order in which the toolbox concatenates them.
MODALITIES: Mapping[str, str] = types.MappingProxyType({"text": "text", "image": "image"})


def load_params(
    model: Backbone, arrays: Mapping[str, Any], static: Any, modalities: Mapping[str, str] = MODALITIES
) -> dict[str, Any]:
    """Our parameters from a PyTorch state dict.

    Args:
      model: bpr, vbpr, lightgcn or freedom, with the options it was trained with; alone or with virtual triplets.
      arrays: name -> array or CPU tensor. static: `model.prepare(dataset.for_training())`, which fixes the shapes.
      modalities: the toolbox's name -> ours, e.g. {"text": "audio", "image": "image"} where the sound features were
        given to it in place of the text; in the order in which it concatenates them (text first).

    Returns:
      params as from `model.init`, float32.

    Raises:
      ConfigError: a model without a table, or a parameter of ours that nothing fills.
      CheckpointError: a name that is missing or left over, or a wrong shape.

    >>> model = LightGcn(embed_dim=2)
    >>> from jmmrec.data import Dataset
    >>> d = Dataset(2, 3, np.array([[0, 0], [1, 1]]), np.array([[0, 1]]), np.array([[1, 2]])).for_training()
    >>> arrays = {"embedding_dict.user_emb": np.ones((2, 2)), "embedding_dict.item_emb": np.ones((3, 2))}
    >>> load_params(model, arrays, model.prepare(d))["item"].shape
    (3, 2)
    """
    model, static = innermost(model, static)
    tree = jax.eval_shape(model.init, jax.random.key(0), static)[0]
    shapes = {path: leaf.shape for path, leaf in _flat(tree)}
    plan = {name: places for name, places in _plan(model, modalities) if shapes.keys() >= set(places)}
    _check_names(name_of(model), arrays, plan, shapes, ignored(model, modalities))
    found: dict[str, Any] = {}
    lone = ENDS_IN_ONE.get(type(model), ())
    turned = _spelled(TRANSPOSED.get(type(model), ()), modalities)
    for name, places in plan.items():
        array = np.asarray(arrays[name], np.float32)
        array = array.T if name in turned else array
        array = array.reshape(array.shape[:-1]) if name in lone and array.shape[-1:] == (1,) else array
        axis = _axis(model, name)
        for place, block in _blocks(name, array, [(p, shapes[p]) for p in places], axis):
            _put(found, place.split("/"), jnp.asarray(block))
    return found


def dump_params(
    model: Backbone, params: Mapping[str, Any], modalities: Mapping[str, str] = MODALITIES
) -> dict[str, np.ndarray]:
    """The inverse of `load_params`: named arrays as the PyTorch toolbox has them. Gradients can be named so, too.

    Raises:
      ConfigError: a model without a table, or a parameter of ours that has no name there.

    >>> sorted(dump_params(BprMf(), {"user": jnp.ones((1, 2)), "item": jnp.ones((1, 2))}))
    ['item_embedding.weight', 'user_embedding.weight']
    """
    model, _ = innermost(model)
    leaves = {path: np.asarray(leaf) for path, leaf in _flat(params)}
    plan = {name: places for name, places in _plan(model, modalities) if leaves.keys() >= set(places)}
    _check_filled(name_of(model), plan, leaves)
    found = {n: np.concatenate([leaves[p] for p in places], _axis(model, n)) for n, places in plan.items()}
    turned = _spelled(TRANSPOSED.get(type(model), ()), modalities)
    lone = ENDS_IN_ONE.get(type(model), ())
    return {n: a.T if n in turned else a[..., None] if n in lone else a for n, a in found.items()}


def load_npz(path: str | pathlib.Path, prefix: str = "") -> dict[str, np.ndarray]:
    """Arrays of an .npz file whose names start with `prefix`, without it.

    Raises:
      CheckpointError: no such file, not an .npz file, or no name with that prefix.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name.removeprefix(prefix): archive[name] for name in archive.files if name.startswith(prefix)}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read as an .npz file of plain arrays ({error}).") from error
    if not found:
        raise CheckpointError(f"{path} holds no array whose name starts with {prefix!r}; give the prefix it uses.")
    return found


def ignored(model: Backbone, modalities: Mapping[str, str] = MODALITIES) -> list[str]:
    """Names in the toolbox's state dict that play no part there and have no place here.

    >>> ignored(BprMf())
    []
    """
    model, _ = innermost(model)
    return _spelled([theirs for theirs, ours in TABLE[type(model)].items() if ours is None], modalities)


def _per_modality(theirs: str) -> bool:
    return "{m}" in theirs or "{s}" in theirs


def _spelled(names: Iterable[str], modalities: Iterable[str]) -> list[str]:
    """Their names, those of modalities once for each."""
    return [
        theirs.format(m=name, s=LETTERS.get(name, name))
        for theirs in names
        for name in (modalities if _per_modality(theirs) else ("",))
    ]


def _plan(model: Backbone, modalities: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Each of their names with our places for it."""
    if type(model) not in TABLE:
        known = ", ".join(sorted(name_of(cls()) for cls in TABLE))
        raise ConfigError(f"no names of the PyTorch toolbox are known for {name_of(model)}; there are {known}.")
    for theirs, ours in TABLE[type(model)].items():
        if ours is None:
            continue
        if isinstance(ours, tuple):
            names = dict(MODALITIES) | dict(modalities)
            yield theirs, [place.format_map(names) for place in ours]
        elif _per_modality(theirs):
            yield from ((_spelled([theirs], [name])[0], [ours.format(m=mine)]) for name, mine in modalities.items())
        elif "{m}" in ours:
            yield theirs, [ours.format(m=mine) for mine in modalities.values()]
        else:
            yield theirs, [ours]


def _check_names(
    model: str, arrays: Mapping, plan: Mapping[str, list[str]], shapes: Mapping, unused: Sequence[str]
) -> None:
    _check_filled(model, plan, shapes)
    missing, left = plan.keys() - arrays.keys(), arrays.keys() - plan.keys() - set(unused)
    if missing:
        raise CheckpointError(
            f"the state dict lacks {_listed(missing)}, which {model} needs; it holds {_listed(arrays)}."
        )
    if left:
        raise CheckpointError(
            f"{model} with these options has no place for {_listed(left)}; "
            "choose the options it was trained with, or leave these arrays out."
        )


def _check_filled(model: str, plan: Mapping[str, list[str]], leaves: Mapping) -> None:
    unfilled = leaves.keys() - {place for places in plan.values() for place in places}
    if unfilled:
        raise ConfigError(
            f"the PyTorch toolbox has nothing for {_listed(unfilled)} of {model}; "
            "choose options and modalities that it has, and name the modalities with modalities={theirs: ours}."
        )


def _axis(model: Backbone, name: str) -> int:
    return 0 if name in STACKED.get(type(model), ()) else -1


def _blocks(
    name: str, array: np.ndarray, places: list[tuple[str, tuple]], axis: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The array cut along an axis into the shapes of our places."""
    widths = [shape[axis] for _, shape in places]
    first = places[0][1]
    expected = (sum(widths), *first[1:]) if axis == 0 else (*first[:-1], sum(widths))
    if array.shape != expected:
        raise CheckpointError(
            f"{name} has shape {array.shape} but {expected} is needed; "
            "the model was trained on other data or with another width."
        )
    return zip((p for p, _ in places), np.split(array, np.cumsum(widths)[:-1], axis), strict=True)


def _flat(tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield jax.tree_util.keystr(path, simple=True, separator="/"), leaf


def _put(tree: dict, path: list[str], leaf: jax.Array) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = leaf


def _listed(names) -> str:
    names = sorted(names)
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
