"""CI²MG's transport problems: one for each pair of modalities, solved together, and what carries values by them."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jmmrec.errors import ConfigError, check_choice, check_whole
from jmmrec.models.ci2mg.options import group
from jmmrec.ot import Potentials, SinkhornConfig, Solution, both_directions, solve, whole_plan
from jmmrec.ot.config import split
from jmmrec.ot.plan import FORMS

Tables = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Transport:
    """Eqs. 6-9, generation between modalities.

    Attributes:
      sinkhorn: how each pair's problem is solved, see `jmmrec.ot.SinkhornConfig`; `iterations` is for refresh `step`.
      refresh: when, once an `epoch` (the plan stays for the epoch) or at every `step`.
      epoch_iterations: iterations of a solve once an epoch, warm from the last one. eval_iterations: of an
        evaluation's, from the last potentials of training. Modes without potentials of all items (prototypes, low
        rank) read neither, nor does the gradient `unroll:n`, whose solves all have n.
      delta: ΔT, the plan's trained adjustment: `lowrank:r`, `feature`, `vector`, `dense` or `none`.
      delta_scaled: ΔT is divided by the marginal as well: times the number of items, with marginals `ones` times 1.
      plan_memory: bytes for an epoch's plans, of each run in a program; where they fit, they are kept whole and carry
        values four times as fast. 0 keeps none.
      values: what is transported, vectors of the `other` modality, or the item's `own` modality matched by the other.

    >>> Transport().refresh
    'epoch'
    """

    sinkhorn: SinkhornConfig = SinkhornConfig()
    refresh: str = "epoch"
    epoch_iterations: int = 20
    eval_iterations: int = 10
    delta: str = "lowrank:8"
    delta_scaled: bool = False
    plan_memory: int = 1 << 29
    values: str = "other"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sinkhorn", group(SinkhornConfig, "ot.sinkhorn", self.sinkhorn))
        check_choice("refresh", self.refresh, ("epoch", "step"))
        check_whole("epoch_iterations", self.epoch_iterations, 1, 1 << 16)
        check_whole("eval_iterations", self.eval_iterations, 1, 1 << 16)
        split("delta", self.delta, *FORMS)
        check_whole("plan_memory", self.plan_memory, 0, 1 << 50)
        check_choice("values", self.values, ("other", "own"))
        if self.refresh == "epoch" and self.sinkhorn.iterations != SinkhornConfig.iterations:
            raise ConfigError(
                f"ot.sinkhorn.iterations is {self.sinkhorn.iterations}, which ot.refresh 'epoch' does not read; give "
                "ot.epoch_iterations instead, or ot.refresh='step' as well."
            )
        if self.refresh == "step" and self.epoch_iterations != Transport.epoch_iterations:
            raise ConfigError(
                f"ot.epoch_iterations is {self.epoch_iterations}, which ot.refresh 'step' does not read; give "
                "ot.sinkhorn.iterations instead."
            )
        if self.refresh == "epoch" and self.sinkhorn.gradient != "stop_plan":
            raise ConfigError(
                f"ot.sinkhorn.gradient is {self.sinkhorn.gradient!r}, but an epoch's plans are constants to its steps; "
                "give ot.refresh='step' as well."
            )
        if self.delta_scaled and self.sinkhorn.marginals == "observed":
            raise ConfigError(
                "ot.delta_scaled divides by marginals, and ot.sinkhorn.marginals 'observed' has 0 at missing rows; "
                "choose 'uniform' or 'ones', or leave delta_scaled."
            )


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """Unordered pairs of modalities, by name.

    >>> pairs_of(["text", "image"])
    [('image', 'text')]
    """
    return list(itertools.combinations(sorted(names), 2))


def solve_pairs(
    made: Tables, present: Mapping[str, jax.Array], start: Potentials | None, iterations: int, options: Transport
) -> Solution:
    """All pairs' problems at once, warm from `start` or cold; every leaf with a leading axis of pairs.

    Args:
      made: Q, name -> (n_items, d). present: name -> bool (n_items,), True where observed, for marginals `observed`.
    """
    pairs, config = pairs_of(list(made)), dataclasses.replace(options.sinkhorn, iterations=iterations)
    everyone = jnp.ones(len(next(iter(made.values()))), bool)
    first, second = (jnp.stack([made[pair[side]] for pair in pairs]) for side in (0, 1))
    here_x, here_y = (jnp.stack([present.get(pair[side], everyone) for pair in pairs]) for side in (0, 1))
    # The approximate modes draw at random; one draw for good keeps epochs comparable.
    key = jax.random.key(0)

    def _one(x: jax.Array, y: jax.Array, here_x: jax.Array, here_y: jax.Array, init: Potentials | None) -> Solution:
        return solve(x, y, init, config, observed_x=here_x, observed_y=here_y, key=key)

    return jax.vmap(_one)(first, second, here_x, here_y, start)


class Kept(NamedTuple):
    """An epoch's solution whose plans fit into memory.

    Attributes:
      plans: (pairs, n, n). rows, columns: their sums, (pairs, n, 1). potentials, error: as `Solution`.
    """

    plans: jax.Array
    rows: jax.Array
    columns: jax.Array
    potentials: Potentials
    error: jax.Array


def kept(solution: Solution, options: Transport) -> Solution | Kept:
    """The solution of an epoch, with its plans if they fit into `plan_memory`."""
    pairs, n = solution.potentials.f.shape
    massless = options.sinkhorn.marginals == "observed"  # rows of the plan that are 0 and cannot be scaled to one
    if solution.parts is not None or massless or 4 * pairs * n * n > options.plan_memory:
        return solution
    plans = jax.vmap(whole_plan)(solution)
    return Kept(plans, plans.sum(axis=2)[..., None], plans.sum(axis=1)[..., None], solution.potentials, solution.error)


def carried(solution: Solution | Kept, first: jax.Array, second: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of one pair, values of the second modality brought to items of the first, and the other way round.

    >>> plan = jnp.array([[0.5, 0.0], [0.25, 0.25]])
    >>> sums = plan.sum(axis=1)[:, None], plan.sum(axis=0)[:, None]
    >>> both = Kept(plan, *sums, Potentials(jnp.zeros(2), jnp.zeros(2)), jnp.zeros(()))
    >>> [x.tolist() for x in carried(both, jnp.array([[3.0], [6.0]]), jnp.array([[2.0], [4.0]]))]
    [[[2.0], [3.0]], [[4.0], [6.0]]]
    """
    if isinstance(solution, Solution):
        return both_directions(solution, first, second)
    to_first = jnp.matmul(solution.plans, second, precision="highest")
    to_second = jnp.matmul(solution.plans.T, first, precision="highest")
    return to_first / solution.rows, to_second / solution.columns
