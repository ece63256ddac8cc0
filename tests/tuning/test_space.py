"""What a search may choose from."""

import numpy as np
import pytest

from jmmrec.errors import ConfigError
from jmmrec.tuning.space import Choices, Range, as_space, axis, by_part, draw, product


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.reg=1e-4,1e-3", Choices((1e-4, 1e-3))),
        ("model.n_layers=1:3", Range(1, 3)),
        ("config.learning_rate=1e-4:1e-2:log", Range(1e-4, 1e-2, log=True)),
        ("model.norm=sum", Choices(("sum",))),
        ("model.cn=true,false", Choices((True, False))),
        ("config.round_digits=none,4", Choices((None, 4))),
    ],
)
def test_axes(text, expected) -> None:
    assert axis(text) == (text.partition("=")[0], expected)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("model.reg", "nothing to choose"),
        ("model.reg=", "nothing to choose"),
        ("reg=1,2", "no option of a run"),
        ("optimiser.rate=1,2", "no option of a run"),
        ("model.reg=a:b", "no range"),
        ("model.reg=1:2:lin", "no range"),
        ("model.reg=2:1", "smaller bound first"),
        ("model.reg=0.0:1.0:log", "above 0"),
    ],
)
def test_axes_that_say_nothing(text, word) -> None:
    with pytest.raises(ConfigError, match=word):
        axis(text)


def test_draws_are_spread_as_asked_and_repeat() -> None:
    space = {"model.a": Range(1e-4, 1e-1, log=True), "model.b": Range(1, 3), "model.c": Choices(("x", "y"))}
    found = [draw(space, 0, number) for number in range(600)]
    assert found == [draw(space, 0, number) for number in range(600)] != [draw(space, 1, n) for n in range(600)]
    exponents = np.log10([one["model.a"] for one in found])
    assert exponents.min() >= -4 and exponents.max() <= -1 and abs(exponents.mean() + 2.5) < 0.1
    assert {one["model.b"] for one in found} == {1, 2, 3} and {one["model.c"] for one in found} == {"x", "y"}


def test_grids() -> None:
    space = as_space({"model.a": [1, 2], "mdvt.n": (4, 8)})
    assert [tuple(one.values()) for one in product(space)] == [(1, 4), (1, 8), (2, 4), (2, 8)]
    with pytest.raises(ConfigError, match="a range, which a grid cannot walk"):
        list(product({"model.a": Range(0.0, 1.0)}))
    for over, word in (({}, "nothing to search"), ({"model.a": []}, r"has \[\]"), ({"model.a": "xy"}, "has 'xy'")):
        with pytest.raises(ConfigError, match=word):
            as_space(over)
    parts = by_part({"model.ot.refresh": "step", "model.ot.delta": "none", "config.epochs": 3})
    assert parts["model"] == {"ot": {"refresh": "step", "delta": "none"}} and parts["config"] == {"epochs": 3}
