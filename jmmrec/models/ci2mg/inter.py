"""CI²MG, Eqs. 6-9: generation between modalities, both directions of a pair from one transport problem."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmmrec.models.ci2mg.plans import Kept, Transport, carried, pairs_of, solve_pairs
from jmmrec.models.layers import named_key
from jmmrec.ot import Solution, adjust, init_adjustment
from jmmrec.ot.diagnosis import TOLERANCE

Tables = dict[str, jax.Array]


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


def inter(params: Mapping[str, Any], made: Tables, solution: Solution | Kept, options: Transport) -> Tables:
    """Q̂_m = 1/(M-1) Σ_{m'≠m} (T̂^{mm'} + ΔT_{mm'}) Q_{m'}, rows of T̂ summing to one (Eq. 9).

    Args:
      params: ΔT by ordered pair. made: Q, name -> (n_items, d). solution: of `solve_pairs`.
    """
    pairs, own = pairs_of(list(made)), options.values == "own"
    moved = jax.vmap(carried)(solution, *(jnp.stack([made[pair[side]] for pair in pairs]) for side in (0, 1)))
    total = {name: jnp.zeros_like(table) for name, table in made.items()}
    for place, pair in enumerate(pairs):
        for side, (to, source) in enumerate((pair, pair[::-1])):
            values = made[to if own else source]
            # Row i of T̂^{m'm} matches item i by its other modality.
            part = moved[1 - side if own else side][place]
            if params:
                uniform = options.sinkhorn.marginals == "uniform"  # 1/n each, so 1/μ is n
                scale = len(values) if options.delta_scaled and uniform else 1.0
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


def counted(options: Transport) -> tuple[str, int]:
    """Which option says how many iterations a solve of training has, and how many.

    >>> counted(Transport()), counted(Transport(refresh="step"))
    (('ot.epoch_iterations', 20), ('ot.sinkhorn.iterations', 5))
    """
    name, number = options.sinkhorn.gradient_mode
    if name == "unroll":
        return "ot.sinkhorn.gradient", number
    if options.sinkhorn.plan_mode[0] in ("prototype", "lowrank"):  # which always begin cold
        return "ot.sinkhorn.cold_iterations", options.sinkhorn.cold_iterations
    if options.refresh == "epoch":
        return "ot.epoch_iterations", options.epoch_iterations
    return "ot.sinkhorn.iterations", options.sinkhorn.iterations


def remarks(parts: Mapping[str, float], options: Transport) -> tuple[str, ...]:
    """Whether the transport of an epoch with these loss parts has converged, in a sentence.

    >>> remarks({"transport_error": 0.0002}, Transport())
    ("Transport converged: the columns of the last epoch's plans are 0.0002 of all mass off.",)
    """
    if "transport_error" not in parts:
        return ()
    error, epsilon = parts["transport_error"], options.sinkhorn.epsilon
    if not math.isfinite(error):
        more = f"look for features far from all others, or raise ot.sinkhorn.epsilon to {10 * epsilon:g}"
        return (f"Transport met a value that is not finite in the last epoch, at epsilon {epsilon:g}; {more}.",)
    if error <= TOLERANCE:
        return (f"Transport converged: the columns of the last epoch's plans are {error:.1g} of all mass off.",)
    option, count = counted(options)
    return (
        f"Transport has not converged: the columns of the last epoch's plans are {error:.2g} of all mass off "
        f"(tolerance {TOLERANCE:g}) after {count} iterations at epsilon {epsilon:g}; raise {option}, "
        f"or ot.sinkhorn.epsilon to {2 * epsilon:g}.",
    )
