"""CI²MG's fresh parameters and statistics."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jmmrec.errors import ConfigError
from jmmrec.graph.clusters import k_means
from jmmrec.models.ci2mg import inputs, inter
from jmmrec.models.ci2mg.task import SHARED
from jmmrec.models.layers import id_tables, named_key, xavier_uniform

if TYPE_CHECKING:
    from jmmrec.models.ci2mg.model import Ci2mg

GENERATING = ("project", "hyper", "delta", "fuse", "norm", "decode")
ONE = 0.5413248546129181  # softplus of it is 1


def parameters(key: jax.Array, static: dict, model: "Ci2mg") -> dict[str, Any]:
    """Xavier maps, biases of 0, hyperedge weights of 1, ΔT without effect; only what takes part."""
    keys = {part: named_key(key, part) for part in ("ids", "layers", "project", "hyper", "delta", "fuse", "decode")}
    d, names = model.embed_dim, list(static["known"])
    n_items = len(static["cold"])
    params: dict[str, Any] = id_tables(keys["ids"], static["mean"].user_item.shape, d)
    params["project"] = {
        name: {
            "weight": xavier_uniform(named_key(keys["project"], name), (d, known["x"].shape[1])),
            "bias": jnp.zeros(d),
        }
        for name, known in static["known"].items()
    }
    if model.ids.encoder != "lightgcn" and model.ids.n_layers:
        shape = (model.ids.n_layers, d, d)
        sides = {side: jax.random.split(named_key(keys["layers"], side), shape[0]) for side in ("user", "item")}
        params["layers"] = {side: jax.vmap(lambda k: xavier_uniform(k, (d, d)))(many) for side, many in sides.items()}
    if model.intra:
        params["hyper"] = _hyper(keys["hyper"], params, static, model)
    if model.inter and len(names) > 1 and model.ot.delta != "none":
        params["delta"] = inter.init_adjustments(keys["delta"], names, n_items, d, model.ot)
    if model.task or (model.inter and model.fuse.ladder == "concat_linear"):
        params["fuse"] = {name: _fuse(named_key(keys["fuse"], name), n_items, model) for name in names}
    if model.task and model.fuse.batch_norm:
        kinds = {"scale": jnp.ones} | ({"shift": jnp.zeros} if model.fuse.bias != "none" else {})
        norms = [SHARED] if model.fuse.shared else names
        params["norm"] = {name: {kind: made(d) for kind, made in kinds.items()} for name in norms}
    if model.task and model.terms.target == "raw_decoder":
        wide = {name: known["x"].shape[1] for name, known in static["known"].items()}
        params["decode"] = {
            n: {"weight": xavier_uniform(named_key(keys["decode"], n), (w, d))} for n, w in wide.items()
        }
    return params


def _hyper(key: jax.Array, params: dict, static: dict, model: "Ci2mg") -> dict[str, dict]:
    """Prototypes and weights of hyperedges, by modality.

    Raises:
      ConfigError: k-means of more prototypes than items.
    """
    many, d, found = model.hyper.n_prototypes, model.embed_dim, {}
    weights = {"diag": jnp.full(many, ONE, jnp.float32), "full": jnp.eye(many), "theta": jnp.eye(d)}
    if model.hyper.start == "kmeans" and many > len(static["cold"]):
        raise ConfigError(
            f"hyper.n_prototypes is {many}, but hyper.start 'kmeans' takes them from {len(static['cold'])} items; "
            "give fewer prototypes, or start 'xavier'."
        )
    views = inputs.tables(params, static, model.inputs, {}, {})[1] if model.hyper.start == "kmeans" else {}
    for name in static["known"]:
        if model.hyper.start == "kmeans":
            found[name] = {"prototypes": k_means(named_key(key, name), views[name][1], many).centroids}
        else:
            found[name] = {"prototypes": xavier_uniform(named_key(key, name), (many, d))}
        if model.hyper.weight in weights:
            found[name]["weight"] = weights[model.hyper.weight]
    return found


def _fuse(key: jax.Array, n_items: int, model: "Ci2mg") -> dict[str, jax.Array]:
    """The map of both views; a vector bias only where no batch normalisation would take it away."""
    d = model.embed_dim
    layer = {"weight": xavier_uniform(key, (d, 2 * d))}
    if model.task and (model.fuse.bias == "matrix" or (model.fuse.bias == "vector" and not model.fuse.batch_norm)):
        layer["bias"] = jnp.zeros((n_items, d) if model.fuse.bias == "matrix" else d)
    return layer


def statistics(static: dict, model: "Ci2mg") -> Any:
    """Running mean 0 and variance 1 of each modality, or of all; nothing without batch normalisation."""
    if not (model.task and model.fuse.batch_norm):
        return ()
    norms = [SHARED] if model.fuse.shared else static["known"]
    return {name: (jnp.zeros(model.embed_dim), jnp.ones(model.embed_dim)) for name in norms}
