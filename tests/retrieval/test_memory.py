"""Peak memory is a promise: read from compiled programs at full size, which are never run."""

import jax
import jax.numpy as jnp
import pytest

from jmmrec.graph import nearest
from jmmrec.losses import mine
from jmmrec.retrieval import Exclusion, block_size, extremes, topk

SPORTS_USERS, SPORTS_ITEMS, SPORTS_TRAIN, WIDTH = 35_598, 18_357, 218_409, 64
LIMIT = 400e6


def table(rows: int, width: int = WIDTH) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((rows, width), jnp.float32)


def temporary_bytes(function, *args) -> int:
    """Bytes that the compiled function needs beyond its inputs, outputs included."""
    sizes = jax.jit(function).lower(*args).compile().memory_analysis()
    return sizes.temp_size_in_bytes + sizes.output_size_in_bytes


def train_pairs(memory: int = topk.MEMORY) -> Exclusion:
    """The shape of an exclusion of Sports' training pairs, a generous 3 times the mean in the fullest block."""
    block = block_size(SPORTS_USERS, SPORTS_ITEMS, memory)
    blocks = -(-SPORTS_USERS // block)
    width = 3 * SPORTS_TRAIN // blocks
    pairs = jax.ShapeDtypeStruct((SPORTS_TRAIN + width,), jnp.int32)
    return Exclusion(jax.ShapeDtypeStruct((blocks,), jnp.int32), pairs, pairs, block, width)


def test_mining_sports() -> None:
    used = temporary_bytes(lambda u, i: mine(u, i, 8), table(SPORTS_USERS), table(SPORTS_ITEMS))
    assert used < LIMIT


def test_mining_sports_without_training_items() -> None:
    def excluded(user, item, pairs):
        return mine(user, item, 8, exclude_top=pairs, exclude_bottom=pairs)

    assert temporary_bytes(excluded, table(SPORTS_USERS), table(SPORTS_ITEMS), train_pairs()) < LIMIT


def test_ranking_sports() -> None:
    def ranked(user, item, pairs):
        return extremes(user, item, 50, exclude=pairs).top

    assert temporary_bytes(ranked, table(SPORTS_USERS), table(SPORTS_ITEMS), train_pairs()) < LIMIT


def test_neighbours_of_sports() -> None:
    used = temporary_bytes(lambda x: nearest(x, 10), table(SPORTS_ITEMS, 384))
    unit_table = SPORTS_ITEMS * 384 * 4
    assert used - unit_table < LIMIT / 2


@pytest.mark.parametrize("memory", [8 << 20, 32 << 20])
def test_memory_follows_the_budget(memory) -> None:
    """What grows with the catalogue is the block; the rest is copies of the inputs and the answers."""
    users, items, n = 4096, 6000, 4

    def found(user, item):
        return extremes(user, item, n, n, memory=memory)

    answers_and_copies = 4 * (users * (4 * n + WIDTH) * 2 + 2 * items * WIDTH)
    assert temporary_bytes(found, table(users), table(items)) < memory + answers_and_copies + (1 << 20)
