"""How a transport problem is posed, solved and differentiated: one frozen, validated object."""

import dataclasses

from jmmrec.errors import ConfigError, check_choice, check_range, check_whole
from jmmrec.ot.blocks import BLOCK

MODES = ("blocked", "dense"), ("minibatch", "prototype", "lowrank")
GRADIENTS = ("stop_plan", "implicit"), ("tail", "unroll")
REFERENCES = ("centred_mean", "mean", "std", "abs")
MANY = 10**9


def split(option: str, value: str, plain: tuple[str, ...], counted: tuple[str, ...]) -> tuple[str, int]:
    """Name and number of 'name' (number 0) or 'name:number'.

    Raises:
      ConfigError: for another name, a number that is missing, superfluous or not a positive whole one.

    >>> split("gradient", "tail:5", *GRADIENTS), split("gradient", "implicit", *GRADIENTS)
    (('tail', 5), ('implicit', 0))
    """
    name, colon, number = str(value).partition(":")
    if (name in plain and not colon) or (name in counted and number.isdecimal() and int(number) > 0):
        return name, int(number or 0)
    allowed = ", ".join([repr(c) for c in plain] + [f"'{c}:<number>'" for c in counted])
    raise ConfigError(f"{option} is {value!r}; choose one of {allowed}, with a whole number above 0.")


@dataclasses.dataclass(frozen=True)
class SinkhornConfig:
    """Static under jit.

    Attributes:
      epsilon: ε as a share of the cost that `epsilon_ref` names; .05 to .2 are sensible, smaller converges slower.
      iterations: of a solve that is given potentials. cold_iterations: of a solve that is not.
      block: rows whose kernel is held at once. center: whether each cloud's mean is taken off, which changes no
        plan but keeps float32 exact. epsilon_ref: centred_mean (mean cost of the centred clouds), mean (of the clouds
        as they are), std (of all costs), abs (ε is absolute). cost: sqeuclidean, or cosine (1 - cos).
      marginals: uniform (1/n each), ones (1 each, as many rows on both sides), observed (over rows named observed).
      gradient: stop_plan (through values only), tail:k (through the last k iterations, after `iterations` without),
        unroll:n (through n iterations instead of `iterations`), implicit (implicit function theorem, ridge .1).
      mode: blocked or dense (exact), minibatch:b, prototype:k, lowrank:r (other estimators, see docs/ot.md).

    >>> SinkhornConfig(gradient="tail:5").gradient_mode
    ('tail', 5)
    """

    epsilon: float = 0.05
    iterations: int = 5
    cold_iterations: int = 200
    block: int = BLOCK
    center: bool = True
    epsilon_ref: str = "centred_mean"
    cost: str = "sqeuclidean"
    marginals: str = "uniform"
    gradient: str = "stop_plan"
    mode: str = "blocked"

    def __post_init__(self) -> None:
        check_range("epsilon", self.epsilon, 1e-6, float("inf"))
        for option in ("iterations", "cold_iterations", "block"):
            check_whole(option, getattr(self, option), 1, MANY)
        check_choice("center", self.center, (True, False))
        check_choice("epsilon_ref", self.epsilon_ref, REFERENCES)
        check_choice("cost", self.cost, ("sqeuclidean", "cosine"))
        check_choice("marginals", self.marginals, ("uniform", "ones", "observed"))
        name = split("mode", self.mode, *MODES)[0]
        if name == "lowrank" and self.gradient != "stop_plan":
            raise ConfigError(f"gradient is {self.gradient!r} with mode {self.mode!r}; lowrank takes 'stop_plan' only.")
        if name == "minibatch" and self.gradient == "implicit":
            raise ConfigError(
                f"gradient is 'implicit' with mode {self.mode!r}, whose last batch is filled up with rows without "
                "mass, which it does not take; use 'tail:20'."
            )
        split("gradient", self.gradient, *GRADIENTS)

    @property
    def gradient_mode(self) -> tuple[str, int]:
        """Name and number of `gradient`."""
        return split("gradient", self.gradient, *GRADIENTS)

    @property
    def plan_mode(self) -> tuple[str, int]:
        """Name and number of `mode`."""
        return split("mode", self.mode, *MODES)

    @property
    def rows(self) -> int | None:
        """Rows of the plan held at once; None for all."""
        return None if self.plan_mode[0] == "dense" else self.block
