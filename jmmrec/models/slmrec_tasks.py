"""Self-supervised tasks of SLMRec: channels that foretell one another along a chain, and two views of all of them."""

from collections.abc import Iterable, Mapping, Sequence

import jax

from jmmrec.graph import Bipartite, propagate_bipartite
from jmmrec.models.layers import dense, dense_init, named_key, xavier_uniform
from jmmrec.models.weights import VISUAL

AUDIO = ("audio", "acoustic", "sound", "a")
TEXTUAL = ("text", "textual", "t")

Pair = tuple[jax.Array, jax.Array]


def channels_of(names: Iterable[str]) -> tuple[str, ...]:
    """Names of the channels in the order of the chain.

    `id`, then modalities: what is seen, what is heard, all others alphabetically, what is written.

    >>> channels_of(("text", "price", "audio", "image"))
    ('id', 'image', 'audio', 'price', 'text')
    """
    ranks = {**dict.fromkeys(VISUAL, 0), **dict.fromkeys(AUDIO, 1), **dict.fromkeys(TEXTUAL, 3)}
    return ("id", *sorted(names, key=lambda name: (ranks.get(name, 2), name)))


def chain_init(key: jax.Array, order: Sequence[str], dim: int) -> dict:
    """Layers of a chain: for each modality that of the chain and the modality's own; `between` for two modalities.

    All keep the width but the last of two or more, which halves it.

    >>> {side: sorted(layers) for side, layers in chain_init(jax.random.key(0), ("image", "text"), 4).items()}
    {'chain': ['image', 'text'], 'own': ['image', 'text'], 'between': ['bias', 'weight']}
    """
    width = dict.fromkeys(order, dim) | ({order[-1]: max(1, dim // 2)} if len(order) > 1 else {})

    def _layers(key: jax.Array) -> dict:
        return {name: dense_init(named_key(key, name), dim, width[name], xavier_uniform) for name in order}

    sides = {side: _layers(named_key(key, side)) for side in ("chain", "own")}
    return sides | ({"between": dense_init(key, dim, dim, xavier_uniform)} if len(order) == 2 else {})


def foretell(layers: Mapping, order: Sequence[str], rows: Mapping[str, jax.Array]) -> dict[str, Pair]:
    """For each modality what the chain says of the rows and what the modality's own layer makes of them.

    Args:
      layers: of `chain_init`. order: of the modalities. rows: (b, d) of each modality, and of `id`, where it starts.

    >>> layers, one = chain_init(jax.random.key(0), ("text",), 2), jax.numpy.ones((3, 2))
    >>> [side.shape for side in foretell(layers, ("text",), {"id": one, "text": one})["text"]]
    [(3, 2), (3, 2)]
    """
    told, found = rows["id"], {}
    for place, name in enumerate(order):
        if place and "between" in layers:
            told = dense(layers["between"], told)
        told = dense(layers["chain"][name], told)
        found[name] = told, dense(layers["own"][name], rows[name])
    return found


def dropped_mean(graph: Bipartite, user: jax.Array, item: jax.Array, keep: Sequence[Pair]) -> Pair:
    """`layer_mean` with one pair of masks for every layer, multiplied in after it.

    >>> from jmmrec.graph import bipartite
    >>> g = bipartite([[0, 0]], 1, 1, "mean")
    >>> one = jax.numpy.ones((1, 1))
    >>> [t.tolist() for t in dropped_mean(g, 2 * one, 4 * one, [(0 * one, one)])]
    [[[1.0]], [[3.0]]]
    """
    total_user, total_item = user, item
    for keep_user, keep_item in keep:
        user, item = propagate_bipartite(graph, user, item)
        user, item = user * keep_user, item * keep_item
        total_user, total_item = total_user + user, total_item + item
    return total_user / (len(keep) + 1), total_item / (len(keep) + 1)
