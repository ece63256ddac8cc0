"""CI²MG, Eq. 2: propagation of ids."""

import dataclasses
from collections.abc import Mapping

import jax

from jmmrec.errors import ConfigError, check_choice, check_whole
from jmmrec.graph import Bipartite, propagate, propagate_bipartite
from jmmrec.models.ci2mg.options import ACTIVATIONS, activate
from jmmrec.models.common import layer_mean


@dataclasses.dataclass(frozen=True)
class Ids:
    """Eq. 2, propagation of ids.

    Attributes:
      encoder: `gcn` (maps and activation, both sides from the layer below), `sequential` (items use the users just
        made) or `lightgcn` (neither). n_layers: its layers. act: between them, `lrelu`, `tanh` or `none`.
      readout: `mean` of all layers, or the `last`.

    >>> Ids().encoder
    'gcn'
    """

    encoder: str = "gcn"
    n_layers: int = 2
    act: str = "lrelu"
    readout: str = "mean"

    def __post_init__(self) -> None:
        check_choice("encoder", self.encoder, ("gcn", "sequential", "lightgcn"))
        check_whole("n_layers", self.n_layers, 0, 32)
        check_choice("act", self.act, ACTIVATIONS)
        check_choice("readout", self.readout, ("mean", "last"))
        if self.encoder == "lightgcn" and self.act != "lrelu":
            raise ConfigError(f"ids.act is {self.act!r}, but ids.encoder 'lightgcn' has no activation; leave it out.")


def id_layers(params: Mapping, mean: Bipartite, sym: Bipartite, options: Ids) -> tuple[jax.Array, jax.Array]:
    """Eq. 2: X^U ← σ(D_u⁻¹ R X^V W), X^V ← σ(D_v⁻¹ Rᵀ X^U W), nothing after the last map; then the read-out.

    Args:
      params: `user` and `item` tables, and `layers` {user, item: (L, d, d)} unless the encoder is lightgcn.
      mean, sym: the graph by both normalisations; lightgcn uses sym.
    """
    user, item = params["user"], params["item"]
    if options.encoder == "lightgcn":
        if options.readout == "mean":
            return layer_mean(sym, user, item, options.n_layers)
        for _ in range(options.n_layers):
            user, item = propagate_bipartite(sym, user, item)
        return user, item
    users, items = [user], [item]
    for layer in range(options.n_layers):
        maps = {side: weights[layer].T for side, weights in params["layers"].items()}
        act = options.act if layer + 1 < options.n_layers else "none"
        user, item = propagate_bipartite(mean, users[-1], items[-1])
        user = activate(act, user @ maps["user"])
        item = propagate(mean.item_user, user) if options.encoder == "sequential" else item
        users, items = [*users, user], [*items, activate(act, item @ maps["item"])]
    if options.readout == "last":
        return users[-1], items[-1]
    return sum(users[1:], users[0]) / len(users), sum(items[1:], items[0]) / len(items)
