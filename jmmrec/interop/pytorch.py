"""Parameters of models trained in the PyTorch toolbox, into ours and back; PyTorch itself is not needed.

A state dict is taken as named arrays (`{k: v.numpy() for k, v in model.state_dict().items()}`, or tensors as they are)
and turned into the parameter tree of the same model here, every name and shape checked.
"""

import pathlib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmmrec.errors import CheckpointError, ConfigError
from jmmrec.models import Backbone, BprMf, Freedom, LightGcn, Vbpr, name_of
from jmmrec.train.mdvt import Mdvt

# Their name -> place in our tree. {m} stands for each modality; on our side alone it stands for column blocks of
# one matrix, side by side in the order of `modalities`. None: they have it, but it plays no part.
TABLE: dict[type, dict[str, str | None]] = {
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
}

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
    model, static = (model.backbone, static["backbone"]) if isinstance(model, Mdvt) else (model, static)
    tree = jax.eval_shape(model.init, jax.random.key(0), static)[0]
    shapes = {path: leaf.shape for path, leaf in _flat(tree)}
    plan = {name: places for name, places in _plan(model, modalities) if shapes.keys() >= set(places)}
    _check_names(name_of(model), arrays, plan, shapes, ignored(model, modalities))
    found: dict[str, Any] = {}
    for name, places in plan.items():
        for place, block in _blocks(name, np.asarray(arrays[name], np.float32), [(p, shapes[p]) for p in places]):
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
    model = model.backbone if isinstance(model, Mdvt) else model
    leaves = {path: np.asarray(leaf) for path, leaf in _flat(params)}
    plan = {name: places for name, places in _plan(model, modalities) if leaves.keys() >= set(places)}
    _check_filled(name_of(model), plan, leaves)
    return {name: np.concatenate([leaves[p] for p in places], axis=-1) for name, places in plan.items()}


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
    model = model.backbone if isinstance(model, Mdvt) else model
    unused = [theirs for theirs, ours in TABLE[type(model)].items() if ours is None]
    return [theirs.format(m=name) for theirs in unused for name in (modalities if "{m}" in theirs else ("",))]


def _plan(model: Backbone, modalities: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Each of their names with our places for it."""
    if type(model) not in TABLE:
        known = ", ".join(sorted(name_of(cls()) for cls in TABLE))
        raise ConfigError(f"no names of the PyTorch toolbox are known for {name_of(model)}; there are {known}.")
    for theirs, ours in TABLE[type(model)].items():
        if ours is None:
            continue
        if "{m}" in theirs:
            yield from ((theirs.format(m=name), [ours.format(m=mine)]) for name, mine in modalities.items())
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


def _blocks(name: str, array: np.ndarray, places: list[tuple[str, tuple]]) -> Iterator[tuple[str, np.ndarray]]:
    """The array cut along its last axis into the shapes of our places."""
    widths = [shape[-1] for _, shape in places]
    expected = (*places[0][1][:-1], sum(widths))
    if array.shape != expected:
        raise CheckpointError(
            f"{name} has shape {array.shape} but {expected} is needed; "
            "the model was trained on other data or with another width."
        )
    return zip((p for p, _ in places), np.split(array, np.cumsum(widths)[:-1], axis=-1), strict=True)


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
