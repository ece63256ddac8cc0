"""Which items become virtual ones, beyond MDVT's n nearest and furthest: the variants of its Tables 3, 6 and 7."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jmmrec.errors import ConfigError, as_tuple, check_choice, check_range, check_whole
from jmmrec.retrieval.topk import MEMORY, Exclusion, extremes
from jmmrec.retrieval.vectors import normalise_rows


@dataclasses.dataclass(frozen=True)
class Variant:
    """What MDVT's own studies change; as it stands, MDVT itself.

    Attributes:
      aggregate: `mean` of the chosen items (Eq. 8), or `none`, a triplet for each (w/o-Aggr): pairing the k-th best
        with the k-th worst (`rank`) or all with all (`cross`), their `sum` or `mean` within a user (inner).
      pairing, inner: see aggregate.
      scale: `align` weighs both losses (Eq. 9); `add` leaves the model's as it is (w/o-Scale).
      similarity: tables that say who is similar, names of modalities and `id` (Table 3); default the fused ones.
      loss_space: tables of the loss, `fused`, or the `subset` of similarity.
      choose: `similar` items; `frequent`, the most and the least frequent of training, the same for all users (F1);
        `similar_frequent`, of twice as many similar ones the most frequent, of dissimilar ones the least (F2).
      tau: positives must be this similar (Tables 6, 7); None asks for nothing. With n = 0 all that are count.
      n_min: the first n_min count however similar they are (MDVT+).
      negatives: with tau, as many as the user has positives (`mirror_count`), those as dissimilar as positives must
        be similar (`mirror_threshold`), or all n (`top_n`).

    >>> Variant(similarity=("id", "text")).choose
    'similar'
    """

    aggregate: str = "mean"
    pairing: str = "rank"
    inner: str = "sum"
    scale: str = "align"
    similarity: tuple[str, ...] = ()
    loss_space: str = "fused"
    choose: str = "similar"
    tau: float | None = None
    n_min: int = 0
    negatives: str = "mirror_count"

    def __post_init__(self) -> None:
        object.__setattr__(self, "similarity", as_tuple(self.similarity))
        check_choice("aggregate", self.aggregate, ("mean", "none"))
        check_choice("pairing", self.pairing, ("rank", "cross"))
        check_choice("inner", self.inner, ("sum", "mean"))
        check_choice("scale", self.scale, ("align", "add"))
        check_choice("loss_space", self.loss_space, ("fused", "subset"))
        check_choice("choose", self.choose, ("similar", "frequent", "similar_frequent"))
        check_choice("negatives", self.negatives, ("mirror_count", "mirror_threshold", "top_n"))
        check_whole("n_min", self.n_min, 0, 64)
        if self.tau is not None:
            check_range("tau", self.tau, -1, 1)
        elif self.n_min:
            raise ConfigError(f"n_min is {self.n_min}, which has a meaning only with a threshold; give tau as well.")
        if self.loss_space == "subset" and not self.similarity:
            raise ConfigError("loss_space is 'subset' but similarity names no tables; name them, or take 'fused'.")
        if self.choose == "frequent" and (self.tau is not None or self.similarity):
            raise ConfigError("choose='frequent' asks for no similarity, so it takes neither tau nor similarity.")


class Selection(NamedTuple):
    """Virtual items of each row.

    Attributes:
      top, bottom: int32 (rows, n) positives and negatives. keep_top, keep_bottom: bool (rows, n), which places count;
        None if all do.
    """

    top: jax.Array
    bottom: jax.Array
    keep_top: jax.Array | None = None
    keep_bottom: jax.Array | None = None

    def rows(self, number: jax.Array) -> "Selection":
        """Those of some rows."""
        keeps = (None if keep is None else keep[number] for keep in (self.keep_top, self.keep_bottom))
        return Selection(self.top[number], self.bottom[number], *keeps)


def select(
    user: jax.Array,
    item: jax.Array,
    n: int,
    variant: Variant,
    *,
    degree: jax.Array | None = None,
    exclude_top: Exclusion | None = None,
    exclude_bottom: Exclusion | None = None,
    memory: int = MEMORY,
) -> Selection:
    """Up to n virtual positives and negatives of every user (MDVT Eqs. 5, 6 and their variants), blocked.

    Args:
      user: (n_users, d). item: (n_items, d). degree: int32 (n_items,), training interactions of each item, where
        `choose` asks for them. exclude_top, exclude_bottom: pairs that may not be chosen; where they leave a user
        fewer than n items, the last places do not count.

    >>> z = jnp.array([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0], [0.0, -3.0]])
    >>> found = select(jnp.array([[1.0, 0.0]]), z, 2, Variant(tau=0.9))
    >>> found.top.tolist(), found.keep_top.tolist(), found.keep_bottom.tolist()
    ([[0, 1]], [[True, False]], [[True, False]])
    """
    if variant.choose == "frequent":
        assert degree is not None
        return frequent(degree, n, len(user))
    both, reach = variant.choose == "similar_frequent", n
    if both:
        reach = min(2 * n, len(item))
    user, item = (normalise_rows(jax.lax.stop_gradient(table)) for table in (user, item))
    found = extremes(user, item, reach, reach, exclude=exclude_top, exclude_bottom=exclude_bottom, memory=memory)
    top, top_scores, bottom, bottom_scores = found
    if both:
        assert degree is not None
        top, top_scores = _rarest(top, top_scores, -degree, n)
        bottom, bottom_scores = _rarest(bottom, bottom_scores, degree, n)
    if variant.tau is None:
        whole = exclude_top is None and exclude_bottom is None
        return Selection(top, bottom, *(() if whole else map(jnp.isfinite, (top_scores, bottom_scores))))
    keep = kept(top_scores, variant.tau, variant.n_min)
    if variant.negatives == "top_n":
        other = jnp.isfinite(bottom_scores)
    elif variant.negatives == "mirror_threshold":
        other = kept(-bottom_scores, variant.tau, variant.n_min)
    else:
        other = (jnp.arange(n) < keep.sum(axis=1, keepdims=True)) & jnp.isfinite(bottom_scores)
    return Selection(top, bottom, keep, other)


def kept(scores: jax.Array, tau: float, n_min: int) -> jax.Array:
    """Which places count: the first n_min, and those of at least tau; -inf marks an empty place, which never does.

    >>> kept(jnp.array([[0.9, 0.7, 0.1]]), 0.8, 2).tolist()
    [[True, True, False]]
    """
    return ((jnp.arange(scores.shape[1]) < n_min) | (scores >= tau)) & jnp.isfinite(scores)


def frequent(degree: jax.Array, n: int, rows: int) -> Selection:
    """The n most frequent items, and the n least frequent of those seen in training, for all rows alike (F1).

    Of equally frequent ones the lower number comes first.

    >>> frequent(jnp.array([3, 0, 1, 5]), 1, 2).bottom.tolist()
    [[2], [2]]
    """
    top = jnp.argsort(-degree, stable=True)[:n]
    bottom = jnp.argsort(jnp.where(degree > 0, degree, jnp.iinfo(jnp.int32).max), stable=True)[:n]
    return Selection(*(jnp.broadcast_to(side.astype(jnp.int32), (rows, n)) for side in (top, bottom)))


def _rarest(found: jax.Array, scores: jax.Array, degree: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """Of the items found the n of lowest degree, with their scores; empty places come last."""
    empty = jnp.iinfo(jnp.int32).max
    order = jnp.argsort(jnp.where(jnp.isfinite(scores), degree[found], empty), axis=1, stable=True)[:, :n]
    return jnp.take_along_axis(found, order, axis=1), jnp.take_along_axis(scores, order, axis=1)
