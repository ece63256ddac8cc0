"""Two trainings of one model differ by chance alone: how often a comparison says otherwise."""

import dataclasses

import numpy as np
import pytest

import jmmrec
from jmmrec.data import SyntheticConfig, synthesize
from jmmrec.report import Table, comparison_table

DRAWS = 1000  # the shares below are known to ±0.7 %


@pytest.fixture(scope="module")
def trained():
    """One model trained with 30 seeds, evaluated for every user."""
    data = synthesize(SyntheticConfig(n_users=150, n_items=80, interactions_per_user=10)).dataset
    result = jmmrec.fit(
        jmmrec.BprMf(embed_dim=8), data, seeds=range(30), epochs=8, batch_size=256, learning_rate=0.02, quiet=True
    )
    return result.evaluate(ks=(20,), metrics=("recall",))


def compared(trained, n_seeds: int, draws: int = DRAWS, **options) -> list[Table]:
    """Tables of the model against itself, each side with seeds of its own."""
    rng, tables = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = rng.permutation(30)
        sides = {
            name: dataclasses.replace(
                trained,
                seeds=tuple(range(n_seeds)),
                per_user={metric: values[seeds] for metric, values in trained.per_user.items()},
                per_group={},
            )
            for name, seeds in (("first", drawn[:n_seeds]), ("second", drawn[n_seeds : 2 * n_seeds]))
        }
        tables.append(comparison_table(sides, ["recall@20"], "first", **options))
    return tables


def marked(tables: list[Table]) -> int:
    return sum(table.rows[1][1].mark != "" for table in tables)


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_a_model_compared_with_itself_is_marked_no_oftener_than_promised(trained, n_seeds: int) -> None:
    assert 0 < marked(compared(trained, n_seeds)) <= 0.05 * DRAWS


def test_one_seed_marks_nothing_and_says_why(trained) -> None:
    tables = compared(trained, 1, 50)
    assert marked(tables) == 0
    assert {table.remarks[-1].partition(":")[0] for table in tables} == {"No marks"}


def test_over_users_alone_chance_in_training_is_marked(trained) -> None:
    """Why one seed marks nothing: `over="users"` marks one in ten such comparisons and more."""
    assert marked(compared(trained, 1, over="users")) > 0.1 * DRAWS
