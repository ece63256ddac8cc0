"""Two trainings of one model differ by chance alone: how often a comparison says otherwise (over users alone: 33)."""

import dataclasses

import numpy as np

import jmmrec
from jmmrec.data import SyntheticConfig, synthesize
from jmmrec.report import comparison_table


def test_false_positives_among_200_comparisons_of_a_model_with_itself() -> None:
    data = synthesize(SyntheticConfig(n_users=150, n_items=80, interactions_per_user=10)).dataset
    result = jmmrec.fit(
        jmmrec.BprMf(embed_dim=8), data, seeds=range(30), epochs=8, batch_size=256, learning_rate=0.02, quiet=True
    )
    whole = result.evaluate(ks=(20,), metrics=("recall",))
    rng, marked = np.random.default_rng(0), 0
    for _ in range(200):
        drawn = rng.permutation(30)
        sides = {
            name: dataclasses.replace(
                whole, seeds=tuple(range(3)), per_user={m: v[seeds] for m, v in whole.per_user.items()}, per_group={}
            )
            for name, seeds in (("first", drawn[:3]), ("second", drawn[3:6]))
        }
        table = comparison_table(sides, ["recall@20"], "first")
        marked += table.rows[1][1].mark != ""
    assert marked <= 0.05 * 200
