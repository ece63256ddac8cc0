"""MDVT's loss on what a backbone encoded: which tables say who is similar, which items are chosen, what they cost."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jmmrec.errors import ConfigError
from jmmrec.losses import Selection, mine_rows, pair_margin, select, single_triplets, threshold_means, virtual_triplets
from jmmrec.losses.virtual import reduced
from jmmrec.models.base import Batch, Encoded
from jmmrec.retrieval.topk import Exclusion

if TYPE_CHECKING:
    from jmmrec.train.mdvt import Mdvt

Tables = tuple[jax.Array, jax.Array]


def space(options: "Mdvt", encoded: Encoded) -> Tables:
    """User and item tables that say who is similar: the fused ones, or some of the backbone's channels.

    Channels are added or put side by side, as the backbone does with all of them.

    Raises:
      ConfigError: a channel that the backbone does not have.
    """
    names, have = options.variant.similarity, encoded.modal
    for name in names:
        if name not in have:
            what = type(options.backbone).__name__
            raise ConfigError(f"similarity names {name!r}, but {what} has tables of {', '.join(have) or 'nothing'}.")
    if not names:
        return encoded.user, encoded.item
    sides = zip(*(have[name] for name in names), strict=True)
    join = jnp.hstack if options.backbone.joined == "concat" else sum
    user, item = (join(list(side)) for side in sides)
    return user, item  # pyright: ignore[reportReturnType]


def choose(options: "Mdvt", tables: Tables, pairs: Exclusion | None, degree: jax.Array | None) -> Selection:
    """Virtual items of all users, or of the rows given as the first table."""
    top = pairs if options.exclude_train == "both" else None
    return select(
        *tables, options.n, options.variant, degree=degree, exclude_top=top, exclude_bottom=pairs,
        memory=options.memory,
    )  # fmt: skip


def virtual_loss(options: "Mdvt", encoded: Encoded, batch: Batch) -> jax.Array:
    """L_v (Eqs. 5-8), a scalar; `encoded.extra` holds what `Mdvt.encode` left there."""
    variant, extra, near = options.variant, encoded.extra, space(options, encoded)
    user, item = near if variant.loss_space == "subset" else (encoded.user, encoded.item)
    rows, mask = (batch.user, batch.mask) if options.users == "batch" else (None, None)

    def _of_rows(table: jax.Array) -> jax.Array:
        return table if rows is None else table[rows]

    if options.item_pool == "batch":
        columns = jnp.stack([batch.positive, batch.negative], axis=1).ravel()
        allowed = jnp.repeat(batch.mask, 2)[None]
        near = _of_rows(near[0]), near[1][columns]
        sides = mine_rows(*near, options.n, allowed_top=allowed, allowed_bottom=allowed)
        here = jnp.broadcast_to(jnp.arange(options.n) < allowed.sum(), sides[0].shape)  # a short batch has fewer than n
        found = Selection(*sides, here, here)
        item = item[columns]
    elif options.n == 0:
        positive, negative, here = threshold_means(_of_rows(near[0]), near[1], item, variant, options.memory)
        losses = jax.nn.softplus(-pair_margin(_of_rows(user), positive, negative))
        return reduced(losses, here if mask is None else here & mask, options.reduction, options.log_base)
    elif rows is not None and not options.stored and options.exclude_train == "none":
        found = choose(options, (near[0][rows], near[1]), None, extra["degree"])
    else:
        found = extra["mined"] or choose(options, near, extra["exclude"], extra["degree"])
        found = found if rows is None else found.rows(rows)
    if options.taken is not None:
        found = first(found, options.taken)
    how = {"keep_top": found.keep_top, "keep_bottom": found.keep_bottom, "mask": mask}
    how |= {"reduction": options.reduction, "log_base": options.log_base}
    if variant.aggregate == "none":
        how |= {"pairing": variant.pairing, "inner": variant.inner}
        return single_triplets(_of_rows(user), item, found.top, found.bottom, **how)
    return virtual_triplets(_of_rows(user), item, found.top, found.bottom, **how)


def first(found: Selection, taken: jax.Array | int) -> Selection:
    """The selection with only the first `taken` places of each side."""
    here = jnp.broadcast_to(jnp.arange(found.top.shape[1]) < taken, found.top.shape)
    sides = (here if keep is None else here & keep for keep in (found.keep_top, found.keep_bottom))
    return Selection(found.top, found.bottom, *sides)
