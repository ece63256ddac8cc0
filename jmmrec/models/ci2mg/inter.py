"""CI²MG's generation between modalities (Eqs. 6-9): one transport problem for each pair, both directions from it."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice, check_range
from jmmrec.models.ci2mg.options import group
from jmmrec.models.layers import named_key
from jmmrec.ot import Potentials, SinkhornConfig, Solution, adjust, both_directions, diagnose, init_adjustment, solve
from jmmrec.ot.config import split
from jmmrec.ot.plan import FORMS

Tables = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Transport:
    """Eqs. 6-9, generation between modalities.

    Attributes:
      sinkhorn: how each pair's problem is solved, see `jmmrec.ot.SinkhornConfig`; `iterations` is for each step.
      refresh: when, once an `epoch` (the plan stays for the epoch) or at every `step`.
      epoch_iterations: iterations of a solve once an epoch, warm from the last one. eval_iterations: of one for an
        evaluation.
      delta: ΔT, the plan's trained adjustment: `lowrank:r`, `feature`, `vector`, `dense` or `none`.
      delta_scaled: ΔT is divided by the marginal as well.
      values: what is transported, vectors of the `other` modality, or the item's `own` modality matched by the other.

    >>> Transport().refresh
    'epoch'
    """

    sinkhorn: SinkhornConfig = SinkhornConfig()
    refresh: str = "epoch"
    epoch_iterations: int = 50
    eval_iterations: int = 20
    delta: str = "lowrank:8"
    delta_scaled: bool = False
    values: str = "other"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sinkhorn", group(SinkhornConfig, "ot.sinkhorn", self.sinkhorn))
        check_choice("refresh", self.refresh, ("epoch", "step"))
        check_range("epoch_iterations", self.epoch_iterations, 1, 1 << 16)
        check_range("eval_iterations", self.eval_iterations, 1, 1 << 16)
        split("delta", self.delta, *FORMS)
        check_choice("values", self.values, ("other", "own"))


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """Unordered pairs of modalities, by name.

    >>> pairs_of(["text", "image"])
    [('image', 'text')]
    """
    return list(itertools.combinations(sorted(names), 2))


def direction(to: str, source: str) -> str:
    """Name of an ordered pair among the parameters.

    >>> direction("image", "text")
    'image from text'
    """
    return f"{to} from {source}"


def init_adjustments(key: jax.Array, names: Sequence[str], n_items: int, dim: int, options: Transport) -> dict:
    """ΔT for every ordered pair, without effect at first; empty for `none`."""
    ordered = [direction(a, b) for pair in pairs_of(names) for a, b in (pair, pair[::-1])]
    if options.delta == "none":
        return {}
    size, form = (n_items, n_items), {"form": options.delta, "width": dim}
    return {name: init_adjustment(named_key(key, name), *size, **form) for name in ordered}


def solve_pairs(
    made: Tables, present: Mapping[str, jax.Array], start: Potentials | None, iterations: int, options: Transport
) -> Solution:
    """All pairs' problems at once, warm from `start` or cold; every leaf with a leading axis of pairs.

    Args:
      made: Q, name -> (n_items, d). present: name -> bool (n_items,) where rows are missing, for marginals `observed`.
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


def inter(params: Mapping[str, Any], made: Tables, solution: Solution, options: Transport) -> Tables:
    """Q̂_m = 1/(M-1) Σ_{m'≠m} (T̂^{mm'} + ΔT_{mm'}) Q_{m'}, rows of T̂ summing to one (Eq. 9).

    Args:
      params: ΔT by ordered pair. made: Q, name -> (n_items, d). solution: of `solve_pairs`.
    """
    pairs, own = pairs_of(list(made)), options.values == "own"
    moved = jax.vmap(both_directions)(solution, *(jnp.stack([made[pair[side]] for pair in pairs]) for side in (0, 1)))
    total = {name: jnp.zeros_like(table) for name, table in made.items()}
    for place, pair in enumerate(pairs):
        for side, (to, source) in enumerate((pair, pair[::-1])):
            values = made[to if own else source]
            # Row i of T̂^{m'm} matches item i by its other modality.
            part = moved[1 - side if own else side][place]
            if params:
                scale = len(values) if options.delta_scaled else 1.0
                part = part + scale * adjust(params[direction(to, source)], values)
            total[to] = total[to] + part / (len(made) - 1)
    return total


def inter_tables(
    params: Mapping, state: Mapping, static: Mapping, aux: Any, made: Tables, options: Transport, train: bool
) -> tuple[Tables, dict]:
    """Q̂ by name from the epoch's solution in `aux` or from one made here, and what it leaves: potentials and error."""
    solution = aux
    if not train or options.refresh == "step":
        count = options.sinkhorn.iterations if train else options.eval_iterations
        solution = solve_pairs(made, static["present"], state["potentials"], count, options)
    found = inter(params.get("delta", {}), made, solution, options)
    return found, {"potentials": solution.potentials, "error": solution.error.max()}


def remark(error: float, options: Transport) -> str:
    """Whether transport with this column error has converged, in a sentence.

    >>> remark(0.0002, Transport())
    'Transport converged: the columns of the plans are 0.0002 of all mass off.'
    """
    count = options.epoch_iterations if options.refresh == "epoch" else options.sinkhorn.iterations
    said = diagnose(error, dataclasses.replace(options.sinkhorn, iterations=count))
    return said or f"Transport converged: the columns of the plans are {error:.1g} of all mass off."
