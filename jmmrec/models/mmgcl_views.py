"""MMGCL's channels in layer 0, its two views, one without some edges, one with a channel replaced, their contrast."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jmmrec.graph import EdgeList, keep_edges, mask_edges
from jmmrec.losses import info_nce
from jmmrec.models.channels import Pair, channel_tables, side_mean
from jmmrec.models.ci2mg.inputs import Inputs
from jmmrec.models.ci2mg.known import exchanged, projected
from jmmrec.models.common import layer_mean
from jmmrec.models.views import challenged_nce
from jmmrec.retrieval import normalise_rows

if TYPE_CHECKING:
    from jmmrec.models.mmgcl import Mmgcl

WEIGHTS = {"paper": 0.5, "code": 2.0, "port": 1.0}  # of each contrast
Rows = Mapping[str, jax.Array]


def units(known: Rows) -> dict[str, jax.Array]:
    """Known features and what fills the other rows, each row of unit length, see `ci2mg.known.standing`.

    >>> units({"rows": jnp.array([0]), "x": jnp.array([[3.0, 4.0]]), "fill": jnp.zeros(2)})["x"].round(1).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    return {**known, "x": normalise_rows(known["x"]), "fill": normalise_rows(known["fill"])}


def layer_zero(params: Mapping, known: Mapping[str, Rows], given: Mapping, impute: str) -> list[jax.Array]:
    """I_c of every channel, (n_items, d): the items' ids, then each modality's features through its map.

    Args:
      known: of each modality, from `units`. given: features (n_items, D) that replace the known ones, by name;
        missing rows remain missing.
    """
    fill, layers = Inputs(impute=impute, norm="none"), params["project"]
    known = {**known, **{name: units(exchanged(known[name], x, fill)) for name, x in given.items()}}
    made = [projected(layers[name], rows, len(params["item"])) + layers[name]["bias"] for name, rows in known.items()]
    return [params["item"], *made]


def thinned(model: "Mmgcl", edges: EdgeList, user: jax.Array, items: Sequence[jax.Array], kept: jax.Array) -> Pair:
    """Layer means of all channels side by side, each on the graph of its own edges; a lone graph is for all.

    Args:
      user: (n_users, d), of all channels. items: each (n_items, d). kept: int32 (channels or 1, n), of `keep_edges`.
    """
    if len(kept) == 1:
        return channel_tables(keep_edges(edges, kept[0], model.norm), user, items, model.n_layers)[0]
    tables = jax.vmap(lambda one, x: layer_mean(keep_edges(edges, one, model.norm), user, x, model.n_layers))
    users, others = (jnp.concatenate(list(side), axis=1) for side in tables(kept, jnp.stack(items)))
    return users, others


def replaced(
    model: "Mmgcl", static: Mapping, user: jax.Array, items: Sequence[jax.Array], shared: Pair, drawn: Mapping
) -> Pair:
    """What stands in the masked modality's channel: of noise, of zeros, or of a graph without some nodes.

    Args:
      user, items: of `thinned`. shared: what a channel has from users. drawn: of `Mmgcl.draws`.

    Returns:
      (user, item) tables, d wide.
    """
    if model.mask == "zero":
        return shared
    if model.mask == "node_drop":
        graph = mask_edges(static["edges"], drawn["stay"], model.norm)
        return layer_mean(graph, user, jnp.stack(items[1:])[drawn["masked"]], model.n_layers)
    noise = spread(items[1:], static["known"])[drawn["masked"]] * drawn["noise"]
    own = side_mean(static["graph"], noise, 1, model.n_layers)
    return shared[0] + own[0], shared[1] + own[1]


def spread(items: Sequence[jax.Array], known: Mapping[str, Rows]) -> jax.Array:
    """Standard deviation of all entries of each modality's table in the rows that are known; no gradient.

    Args:
      items: (n_items, d), in the order of `known`.

    Returns:
      (M,); 0 where no row is known.

    >>> known = {"text": {"rows": jnp.array([0, 1]), "own": jnp.array([True, True])}}
    >>> spread([jnp.array([[1.0], [3.0], [9.0]])], known).tolist()
    [1.0]
    """
    pairs = zip(items, known.values(), strict=True)
    rows = [(jax.lax.stop_gradient(x[there["rows"]]), there["own"][:, None]) for x, there in pairs]
    return jnp.stack([jnp.std(x, where=own) if len(x) else jnp.zeros(()) for x, own in rows])


def contrasts(
    first: Pair, second: Pair, challenge: Pair | None, ssl: str, tau: float, mask: jax.Array
) -> dict[str, jax.Array]:
    """The contrasts of a batch, by name.

    Args:
      first, second: fused rows of users and positive items in each view, (b, d). challenge: fused rows of challenging
        negatives and bool (b,), which rows have one; or None. ssl: `paper`, `code` or `port`. mask: bool (b,).

    >>> both, yes = (jnp.eye(2), jnp.eye(2)), jnp.ones(2, bool)
    >>> {name: round(float(x), 4) for name, x in contrasts(both, both, None, "paper", 1.0, yes).items()}
    {'ssl_user': 0.3133, 'ssl_item': 0.3133}
    """
    (user, item), (other_user, other_item) = ([normalise_rows(side) for side in pair] for pair in (first, second))
    nce = functools.partial(info_nce, tau=tau, mask=mask, limit=1.0)
    if ssl == "code":
        return {"ssl_edges": nce(user, item)}
    if ssl == "port":
        return {"ssl_edges": nce(user, item), "ssl_masked": nce(user, other_item)}
    if challenge is not None:
        own = {"challenge": normalise_rows(challenge[0]), "there": challenge[1]}
        nce = functools.partial(challenged_nce, tau=tau, mask=mask, **own)
    return {"ssl_user": nce(user, other_user), "ssl_item": nce(item, other_item)}
