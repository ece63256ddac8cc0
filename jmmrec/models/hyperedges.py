"""Hyperedges learned from features, as LGMRec (AAAI'24) has them: soft members, what is gathered, how two contrast."""

import functools
import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jmmrec.losses import info_nce
from jmmrec.models.base import Batch
from jmmrec.models.layers import dropout
from jmmrec.models.weights import visual_first
from jmmrec.retrieval.vectors import safe_norm


class Hyperedges(NamedTuple):
    """The hyperedges of one modality.

    Attributes:
      user: (n_users, K). item: (n_items, K), memberships. held: (K, d), what each hyperedge gathered.
    """

    user: jax.Array
    item: jax.Array
    held: jax.Array

    @property
    def tables(self) -> tuple[jax.Array, jax.Array]:
        """What users and items receive, (n_users, d) and (n_items, d)."""
        return self.user @ self.held, self.item @ self.held


def chance(key: jax.Array, shape: tuple[int, int], noisy: bool, keep: float | None) -> tuple:
    """Gumbel noise and a mask of inverted dropout for one table of memberships; 0 and 1 where there is no chance.

    Args:
      shape: (n, K). keep: probability that an entry stays; None: all stay.

    >>> chance(jax.random.key(0), (2, 3), False, None)
    (0.0, 1.0)
    """
    first, second = jax.random.split(key)
    noise = jax.random.gumbel(first, shape) if noisy else 0.0
    return noise, 1.0 if keep is None else dropout(second, keep, shape)


def gather(
    logits: tuple[jax.Array, jax.Array],
    draws: list[tuple],
    item: jax.Array,
    *,
    tau: float,
    n_layers: int = 1,
    present: jax.Array | None = None,
) -> Hyperedges:
    """Memberships softmax((logits + noise)/τ) · kept; the hyperedges gather their items' rows n_layers times.

    z_1 = Sᵀ y,  z_{l+1} = Sᵀ S z_l with S the items' memberships.

    Args:
      logits: of users and of items, (n, K). draws: (noise, kept) for users and for items, arrays or numbers.
      item: (n_items, d). present: bool (n_items,); items without the modality join no hyperedge.

    >>> zero = jnp.zeros((2, 1))
    >>> gather((zero, zero), [(0.0, 1.0)] * 2, jnp.array([[1.0], [2.0]]), tau=1.0).held.tolist()
    [[3.0]]
    """

    def _members(logits: jax.Array) -> jax.Array:
        # The largest goes before the division: after it, a fused multiply-add would leave its rounding error in exp.
        return jax.nn.softmax((logits - jax.lax.stop_gradient(jnp.max(logits, axis=1, keepdims=True))) / tau)

    user, member = (_members(table + noise) * kept for table, (noise, kept) in zip(logits, draws, strict=True))
    member = member if present is None else jnp.where(present[:, None], member, 0.0)
    held, again = member.T @ item, member.T @ member
    for _ in range(n_layers - 1):
        held = again @ held
    return Hyperedges(user, member, held)


def contrast(
    first: tuple[jax.Array, jax.Array],
    second: tuple[jax.Array, jax.Array],
    rows: jax.Array,
    *,
    tau: float,
    mask: jax.Array,
    keep: jax.Array | None = None,
    reduction: str = "sum",
) -> jax.Array:
    """InfoNCE of some rows of S_a z_a against all rows of S_b z_b by cosine, from factors that are K wide.

    ⟨S_a z_a, S_b z_b⟩ = ⟨S_a (z_a z_bᵀ), S_b⟩, so that no product over all rows is wider than K.

    Args:
      first, second: memberships (n, K) and what is held (K, d). rows: int32 (b,). mask: bool (b,), rows that count.
      keep: bool (n,), rows of the second that count. reduction: `mean` or `sum` over the batch.

    >>> one = (jnp.eye(2), jnp.eye(2))
    >>> round(float(contrast(one, one, jnp.arange(2), tau=1.0, mask=jnp.ones(2, bool), reduction="mean")), 4)
    0.3133
    """

    def _unit(members: jax.Array, held: jax.Array) -> jax.Array:
        return members / jnp.maximum(safe_norm(members @ held, axis=1, keepdims=True), 1e-12)

    query = _unit(first[0][rows], first[1]) @ (first[1] @ second[1].T)
    return info_nce(query, _unit(*second), rows, tau=tau, mask=mask, keep=keep, reduction=reduction, limit=1.0)


def contrasts(
    hyper: Mapping[str, Hyperedges], present: Mapping[str, jax.Array], batch: Batch, **options: Any
) -> tuple[jax.Array, jax.Array]:
    """`contrast` summed over all pairs of modalities, of the batch's users and of its positive items.

    Of a pair the visual modality, else the first by name, gives the batch's rows and the other one all rows. Items
    that lack either take no part. No pair, no contrast.

    Args:
      present: as from `jmmrec.models.common.presence`. options: tau, reduction.

    >>> batch = Batch(*[jnp.zeros(1, int)] * 3, jnp.ones(1, bool), 0)
    >>> float(contrasts({"text": Hyperedges(*[jnp.eye(2)] * 3)}, {}, batch)[0])
    0.0
    """
    user, item = jnp.zeros(()), jnp.zeros(())
    for names in itertools.combinations(visual_first(hyper), 2):
        known = [present[name] for name in names if name in present]
        keep = functools.reduce(jnp.logical_and, known) if known else None
        mask = batch.mask if keep is None else batch.mask & keep[batch.positive]
        a, b = (hyper[name] for name in names)
        user += contrast((a.user, a.held), (b.user, b.held), batch.user, mask=batch.mask, **options)
        item += contrast((a.item, a.held), (b.item, b.held), batch.positive, mask=mask, keep=keep, **options)
    return user, item
