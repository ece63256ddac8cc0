"""The backbone that docs/architecture.md writes for its readers runs as it stands there; wrong ones are told so."""

import dataclasses
import pathlib
import re

import pytest

import jmmrec
from jmmrec.data import SyntheticConfig, synthesize
from jmmrec.errors import ConfigError

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "architecture.md"


def test_the_backbone_of_the_page_trains_and_is_read_back(tmp_path, monkeypatch) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    exec(code, names)
    result, again = names["result"], names["again"]
    assert again.evaluate(ks=(10,)).mean == result.evaluate(ks=(10,)).mean  # pyright: ignore


@dataclasses.dataclass(frozen=True)
class Alone(jmmrec.BprMf):
    """Gives its parameters without a state."""

    def init(self, key, static):
        return super().init(key, static)[0]


@dataclasses.dataclass(frozen=True)
class Short(jmmrec.BprMf):
    """Forgets the last items."""

    def encode(self, *args, **options):
        encoded = super().encode(*args, **options)
        return encoded.replace(item=encoded.item[:-10])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Alone(), "Alone.init returns dict; it has to return two things, params and state"),
        (
            jmmrec.with_mdvt(Short()),
            r"Short.encode gives tables of \(30, 64\) and \(14, 64\) for 30 users and 24 items",
        ),
    ],
)
def test_a_backbone_that_gives_something_else(model, words) -> None:
    data = synthesize(SyntheticConfig(n_users=30, n_items=24, interactions_per_user=8)).dataset
    with pytest.raises(ConfigError, match=words):
        jmmrec.fit(model, data, warmup="static" if isinstance(model, jmmrec.Mdvt) else "none", quiet=True)
