"""Errors that a person can act on: one sentence with what was found, where, and what to do."""

from collections.abc import Iterable


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
    if not (low < value <= high if open_low else low <= value <= high):
        bracket = "(" if open_low else "["
        raise ConfigError(f"{option} is {value!r}; it must lie in {bracket}{low}, {high}].")
