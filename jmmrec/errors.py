"""Errors that a person can act on: one sentence with what was found, where, and what to do."""

import math
import numbers
from collections.abc import Iterable, Mapping


class JmmrecError(ValueError):
    """Bad input. The command line prints the message alone and leaves with exit code 2."""


class DataError(JmmrecError):
    """Interactions, features or ids that cannot be used as they are."""


class ConfigError(JmmrecError):
    """An option that does not exist, or has a value outside its range."""


class CheckpointError(JmmrecError):
    """A run folder or checkpoint that cannot be read or trusted."""


class DivergenceError(JmmrecError):
    """Training met NaN or infinity; the last good checkpoint is kept."""


def check_choice(option: str, value: object, choices: Iterable[object]) -> None:
    """Raises `ConfigError` naming the option, the value found and what is allowed.

    >>> check_choice("reduction", "mean", ("mean", "sum"))
    """
    choices = tuple(choices)
    if value not in choices:
        allowed = ", ".join(repr(c) for c in choices)
        raise ConfigError(f"{option} is {value!r}; choose one of {allowed}.")


def check_range(option: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    """Raises `ConfigError` unless low <= value <= high (low < value with `open_low`); NaN never passes.

    >>> check_range("lam", 0.2, 0, 1)
    """
    try:
        inside = low < value <= high if open_low else low <= value <= high
    except TypeError:  # a word, or a list
        inside = False
    if not inside:
        bracket = "(" if open_low else "["
        raise ConfigError(f"{option} is {value!r}; it must lie in {bracket}{low}, {high}].")


def check_whole(option: str, value: object, low: float = -math.inf, high: float = math.inf) -> None:
    """Raises `ConfigError` unless it is a whole number, low <= value <= high.

    >>> check_whole("epochs", 3, 1)
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ConfigError(f"{option} is {value!r}; it must be a whole number.")
    check_range(option, int(value), low, high)


def check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises `ConfigError` naming the first option that does not exist, and those that do.

    >>> check_names("MDVT", ["n"], ["n", "lam"])
    """
    known = tuple(known)
    for name in given:
        if name not in known:
            raise ConfigError(f"{what} has no option {name!r}; it has {', '.join(known)}.")


def as_tuple(given: object) -> tuple:
    """An option that holds several values, of which a lone number or word is one.

    >>> as_tuple(5), as_tuple("text"), as_tuple([5, 10])
    ((5,), ('text',), (5, 10))
    """
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


def check_types(cls: type, options: Mapping[str, object]) -> None:
    """Raises `ConfigError` where an option of a dataclass whose default is a whole number is given something else.

    >>> check_types(type("Some", (), {"depth": 2}), {"depth": 3})
    """
    for name, value in options.items():
        default = getattr(cls, name, None)
        if isinstance(default, int) and not isinstance(default, bool):
            check_whole(name, value)
