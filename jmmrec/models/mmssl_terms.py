"""Parts of MMSSL's forward pass and loss: attention between modalities, layers, contrasts, rows for a discriminator."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from jmmrec.graph import Bipartite, propagate
from jmmrec.losses import two_view_nce
from jmmrec.models.base import Batch, Encoded
from jmmrec.models.layers import dense
from jmmrec.models.mmssl_graphs import Views, observed
from jmmrec.models.weights import visual_first
from jmmrec.retrieval import normalise_rows


def modal_tables(
    params: Mapping, graph: Bipartite, features: Mapping[str, jax.Array], drop: Mapping[str, jax.Array]
) -> Views:
    """Projected features after one step to users and another one back, by name.

    Args:
      params: `project`, and `common` where one more map is shared by all. drop: name -> mask (n_items, d) or none.

    >>> from jmmrec.graph import bipartite
    >>> params = {"project": {"text": {"weight": jnp.ones((1, 1)), "bias": jnp.ones(1)}}}
    >>> g = bipartite([[0, 0]], 1, 1, "rowhalf_eps8")
    >>> [t.tolist() for t in modal_tables(params, g, {"text": jnp.ones((1, 1))}, {})["text"]]
    [[[2.0]], [[2.0]]]
    """
    found = {}
    for name, x in features.items():
        table = dense(params["project"][name], x)
        table = dense(params["common"], table) if "common" in params else table
        user = propagate(graph.user_item, table * drop[name] if drop else table)
        found[name] = (user, propagate(graph.item_user, user))
    return found


def mixed(params: Mapping, tables: Sequence[jax.Array], n_heads: int) -> jax.Array:
    """Mean over modalities of what each receives from all, heads side by side, brought back to width d by `mix`.

    With `query` and `key` among the parameters head h of modality a takes Σ_b softmax_b(⟨q_a^h, k_b^h⟩/√(d/H)) of the
    tables. Without them each keeps its own table, since the public code sums weights where values do not vary.

    Args:
      tables: (n, d), one of each modality.

    >>> mixed({"mix": jnp.ones((1, 2))}, [jnp.ones((1, 1)), jnp.zeros((1, 1))], 2).tolist()
    [[1.0]]
    """
    blocks = params["mix"].reshape(len(params["mix"]), n_heads, -1)
    if "query" not in params:
        return sum(tables[1:], tables[0]) / len(tables) @ blocks.sum(axis=1).T
    x = jnp.stack(tables)
    query, key = ((x @ params[side].T).reshape(*x.shape[:2], n_heads, -1) for side in ("query", "key"))
    logits = jnp.einsum("anhw,bnhw->nhab", query, key) * query.shape[-1] ** -0.5
    share = jax.nn.softmax(logits, axis=-1).mean(axis=2)
    return jnp.einsum("nhb,bnd,ohd->no", share, x, blocks)


def layers(graph: Bipartite, user: jax.Array, item: jax.Array, n_layers: int) -> tuple[jax.Array, jax.Array]:
    """Mean of layers 0..L; items receive what users have just received, and the last layer is soft-maxed by rows.

    >>> from jmmrec.graph import bipartite
    >>> g = bipartite([[0, 0]], 1, 1, "rowhalf_eps8")
    >>> [t.tolist() for t in layers(g, jnp.zeros((1, 2)), jnp.ones((1, 2)), 1)]
    [[[0.25, 0.25]], [[0.75, 0.75]]]
    """
    users, items = [user], [item]
    for layer in range(1, n_layers + 1):
        for reached, adjacency, source in ((users, graph.user_item, items), (items, graph.item_user, users)):
            received = propagate(adjacency, source[-1])
            reached.append(jax.nn.softmax(received, axis=1) if layer == n_layers else received)
    return sum(users[1:], user) / (n_layers + 1), sum(items[1:], item) / (n_layers + 1)


def modal_contrasts(modal: Views, both: Mapping[str, jax.Array], tau: float) -> dict[str, jax.Array]:
    """Contrast of the visual modality (without one: of the first by name) with each other one.

    Args:
      both: by the other's name, the items that have the two, as from `shared_items`; all where there is none.

    >>> view = (jnp.zeros((0, 2)), jnp.eye(2))
    >>> {k: round(float(v), 4) for k, v in modal_contrasts({"text": view, "image": view}, {}, 1.0).items()}
    {'contrastive_text': 0.5514}
    """
    anchor, *others = visual_first(modal)
    found = {}
    for name in others:
        tables = (modal[n][1] for n in (anchor, name))
        views = (normalise_rows(t[both[name]] if name in both else t) for t in tables)
        found[f"contrastive_{name}"] = two_view_nce(*views, tau=tau, limit=1.0)
    return found


def user_contrasts(views: Views, user: jax.Array, batch: Batch, tau: float) -> dict[str, jax.Array]:
    """Contrast of what the batch's users receive over each learned graph with their final vectors.

    >>> batch, eye = Batch(jnp.arange(2), jnp.arange(2), jnp.arange(2), jnp.ones(2, bool), 0), jnp.eye(2)
    >>> round(float(user_contrasts({"text": (eye, eye)}, eye, batch, 1.0)["contrastive_text"]), 4)
    0.5514
    """
    final = normalise_rows(user[batch.user])
    return {
        f"contrastive_{name}": two_view_nce(
            normalise_rows(view[batch.user]), final, tau=tau, mask=batch.mask, limit=1.0
        )
        for name, (view, _) in sorted(views.items())
    }


def feature_norm(modal: Views, present: Mapping[str, jax.Array], users: bool) -> jax.Array:
    """Half the squares of all modal item (and user) vectors, by the number of items; missing items do not count.

    >>> float(feature_norm({"text": (jnp.ones((1, 1)), jnp.ones((2, 1)))}, {"text": jnp.array([True, False])}, True))
    0.5
    """
    total = jnp.zeros(())
    for name, (user, item) in modal.items():
        here = present.get(name)
        total += jnp.sum(item**2 if here is None else jnp.where(here[:, None], item**2, 0.0))
        total += jnp.sum(user**2) if users else 0.0
    return 0.5 * total / len(next(iter(modal.values()))[1])


def modal_rows(encoded: Encoded, batch: Batch) -> tuple[dict[str, jax.Array], jax.Array]:
    """Modal similarities of the batch's users with all items, unit rows, and their training items as 0/1 rows.

    Training items and items that lack the modality are zero in the similarities.
    """
    seen = observed(batch.user, encoded.extra["train"], len(encoded.item))
    found = {}
    for name, (user, item) in sorted(encoded.extra["modal"].items()):
        here = encoded.extra["present"].get(name)
        allowed = 1.0 - seen if here is None else (1.0 - seen) * here
        found[name] = normalise_rows((user[batch.user] @ item.T) * allowed)
    return found, seen
