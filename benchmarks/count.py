"""What a program must at least do: products, sparse tables, transcendental functions, counted in its own jaxpr."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from benchmarks.machine import Rates

FUNCTIONS = {"exp", "exp2", "log", "log1p", "expm1", "logistic", "tanh", "erf_inv", "pow", "sin", "cos"}


class Count(NamedTuple):
    """Floor of a program.

    Attributes:
      operations: multiplications and additions of dense products. bytes: of sparse products, each reading its entries
        and its table once and writing its result, and of the optimiser. functions: values of exp, log and the like.
    """

    operations: float = 0.0
    bytes: float = 0.0
    functions: float = 0.0

    def __add__(self, other: tuple) -> "Count":
        return Count(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, n: float) -> "Count":
        """So often."""
        return Count(*(n * value for value in self))

    def seconds(self, rates: Rates) -> dict[str, float]:
        """Seconds that each must take at the measured rates.

        >>> Count(2.0, 3.0, 4.0).seconds(Rates(1.0, 1.0, 4.0))
        {'products': 2.0, 'sparse and optimiser': 3.0, 'exp and log': 1.0}
        """
        return {
            "products": self.operations / rates.operations,
            "sparse and optimiser": self.bytes / rates.bytes,
            "exp and log": self.functions / rates.functions,
        }


def count(function: Callable, *args: Any) -> Count:
    """Counts what a call of `function` with arguments of these shapes does; loops of unknown length count once.

    A choice counts as its cheapest side, and as its dearest one once in each loop around it: a graph that is built
    once an epoch is not built in every step.

    >>> import jax.numpy as jnp
    >>> count(lambda x: jnp.exp(x @ x), jnp.ones((2, 2)))
    Count(operations=16.0, bytes=0.0, functions=4.0)
    """
    always, once = _walk(jax.make_jaxpr(function)(*args).jaxpr)
    return always + once


def adam(params: Any) -> Count:
    """One step of Adam: gradient, both moments and parameters are read, the last three and the gradient written.

    >>> import jax.numpy as jnp
    >>> adam(jnp.ones(4)).bytes
    128.0
    """
    return Count(bytes=8.0 * 4 * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)))


def _walk(jaxpr: Any) -> tuple[Count, Count]:
    """What every pass does, and what some pass of the loop around does besides."""
    always, once = Count(), Count()
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        inner = [_walk(part) for part in _inside(equation.params)]
        if name == "cond":
            least, *_, most = sorted((a + b for a, b in inner), key=lambda c: c[1::-1])
            least = most if equation.params.get("branches_platforms") else least  # one program for each platform
            inner = [(least, most + least.times(-1.0))]
        often = equation.params["length"] if name == "scan" else 1
        for every, some in inner:
            always, once = always + every.times(often), once + some
        always += _own(name, equation)
    return always, once


def _inside(params: dict[str, Any]) -> Iterator[Any]:
    """Programs inside one operation; of a custom derivative or batching rule only the program itself."""
    for value in params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            part = getattr(part, "jaxpr", part)
            if hasattr(part, "eqns"):
                yield part


def _own(name: str, equation: Any) -> Count:
    out = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        inner = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        return Count(operations=2.0 * out * inner)
    if name == "bcsr_dot_general":
        return Count(bytes=4.0 * (sum(math.prod(v.aval.shape) for v in equation.invars) + out))
    return Count(functions=float(out)) if name in FUNCTIONS else Count()
