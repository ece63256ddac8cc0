"""Settings that differ in numbers alone train in one program, and are what they are alone."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from jmmrec.data import SyntheticConfig, synthesize
from jmmrec.errors import ConfigError
from jmmrec.models import BprMf
from jmmrec.train import Trainer
from jmmrec.tuning import search, together
from jmmrec.tuning.space import as_space, by_part, product
from jmmrec.tuning.together import groups, setting_of
from jmmrec.tuning.trials import backbone_of

DATA = synthesize(SyntheticConfig(n_users=60, n_items=50, interactions_per_user=8)).dataset
SHARED = {"config.epochs": 4, "config.batch_size": 128, "model.embed_dim": 4}
GIVEN = SHARED | {"config.learning_rate": 0.02}
ROOM = 1 << 30


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """How many runs each program was begun with."""
    really, found = together.train_lanes, []

    def counted(bound, lanes):
        found.append(len(lanes))
        return really(bound, lanes)

    monkeypatch.setattr(together, "train_lanes", counted)
    return found


def same(ours, alone) -> None:
    """Every epoch of every seed, within float tolerance, and the settings they were trained with."""
    for one, other in zip(ours.trials, alone.trials, strict=True):
        assert one.settings == other.settings and one.result.model == other.result.model
        assert one.result.config == other.result.config
        for seed, lane in other.result.lanes.items():
            assert one.result.lanes[seed].label == lane.label
            losses = ([record["loss"] for record in x.history] for x in (one.result.lanes[seed], lane))
            np.testing.assert_allclose(*losses, rtol=2e-4)


def test_learning_rates_weights_and_seeds_share_a_program(tmp_path, calls) -> None:
    over = {"model.reg": [0, 0.1], "config.learning_rate": [0.02, 0.05]}
    how = {"given": SHARED, "seeds": (0, 1), "quiet": True}
    alone = search("bpr", DATA, over, **how)
    ours = search("bpr", DATA, over, **how, memory=ROOM, out=tmp_path)
    assert calls == [8]
    same(ours, alone)
    assert len({trial.result.lanes[0].history[-1]["loss"] for trial in ours.trials}) == 4  # pyright: ignore
    again = search("bpr", DATA, over, **how, memory=ROOM, out=tmp_path)
    assert calls == [8] and [t.scores for t in again.trials] == [t.scores for t in ours.trials]
    for read, one in zip(again.trials, ours.trials, strict=True):
        jax.tree.map(np.testing.assert_array_equal, read.result.runs, one.result.runs)  # pyright: ignore
        assert read.result.evaluate().mean == one.result.evaluate().mean  # pyright: ignore
    assert len(json.loads((tmp_path / "search.json").read_text())["trials"]) == 4


def test_lambda_and_weights_inside_share_one_whenever_they_switch_on(calls) -> None:
    """Options of MDVT and of the model inside it."""
    over = {"mdvt.lam": [0.1, 0.5], "model.reg": [0.0, 0.5]}
    how = {"given": GIVEN | {"warmup.strategy": "static", "warmup.thresholds": 2}, "quiet": True}
    ours = search("bpr", DATA, over, **how, memory=ROOM)
    assert calls == [4]
    same(ours, search("bpr", DATA, over, **how))


def test_n_and_the_epoch_of_activation_share_one(calls) -> None:
    """Mined items are stored, so there must be room for the largest n."""
    over = {"mdvt.n": [1, 4], "warmup.thresholds": [0, 2]}
    fixed = {"warmup.strategy": "static", "mdvt.refresh": "epoch"}
    how = {"given": GIVEN | fixed, "quiet": True}
    ours = search("bpr", DATA, over, **how, memory=ROOM)
    assert calls == [4]
    same(ours, search("bpr", DATA, over, **how))
    active = [[record["virtual_active"] for record in t.result.lanes[0].history] for t in ours.trials]  # pyright: ignore
    assert active == [[True] * 4, [False, False, True, True]] * 2
    assert len({trial.result.lanes[0].history[-1]["loss"] for trial in ours.trials}) == 4  # pyright: ignore


@dataclasses.dataclass(frozen=True)
class Scaled(BprMf):
    """A number that is read before the first step."""

    scale: float = 1.0

    def init(self, key, static):
        params, state = super().init(key, static)
        return jax.tree.map(lambda leaf: self.scale * leaf, params), state


@pytest.mark.parametrize("warmup", [{}, {"warmup.strategy": "static", "warmup.thresholds": 1, "mdvt.n": 2}])
def test_numbers_that_are_read_in_init(warmup, calls) -> None:
    how = {"given": GIVEN | warmup, "quiet": True}
    over = {"model.scale": [0.01, 3.0]}
    ours = search(Scaled(), DATA, over, **how, memory=ROOM)
    assert calls == [2]
    same(ours, search(Scaled(), DATA, over, **how))


def test_settings_that_diverge_leave_the_others(tmp_path, calls, monkeypatch) -> None:
    monkeypatch.setattr(Trainer, "fitting", lambda *_: 2)
    over = {"config.learning_rate": [1e30, 1e-3, 2e-3]}
    for _ in range(2):
        found = search("bpr", DATA, over, given=SHARED, out=tmp_path, quiet=True, memory=ROOM)
        assert [trial.result is None for trial in found.trials] == [True, False, False]
        assert "Diverged, and not counted: config.learning_rate=1e+30" in found.table().markdown()
    assert calls == [2, 1]


def grouped(model, over, given) -> tuple[list[list[int]], list[str]]:
    """Numbers of the settings that share programs, and what was said."""
    settings, said = {}, []
    for number, own in enumerate(product(as_space(over))):
        parts = by_part(given | own)
        settings[number] = setting_of(backbone_of(model, parts), parts, given | own)
    return [list(group) for group in groups(DATA, settings, said.append)], said


@pytest.mark.parametrize(
    ("model", "over", "expected", "word"),
    [
        ("bpr", {"config.patience": [1, 2], "model.reg": [0.1, 0.2]}, [[0, 1], [2, 3]], ""),
        ("freedom", {"model.visual_weight": [0.1, 0.2], "model.modal_bpr_weight": [0.1, 0.2]}, [[0, 1], [2, 3]], ""),
        (
            "lightgcn_m",
            {"model.dropout": [0.1, 0.2], "model.reg": [0.1, 0.2]},
            [[0, 1], [2, 3]],
            "model.dropout is read",
        ),
        ("vbpr", {"amr.eps": [0.1, 0.2], "amr.weight": [0.5, 1.0]}, [], "amr.weight is read while a program is built"),
        ("bpr", {"warmup.strategy": ["hybrid"], "model.reg": [0.1, 0.2]}, [], ""),
        ("bpr", {"warmup.strategy": ["dynamic"], "mdvt.n": [1, 2], "mdvt.lam": [0.1, 0.2]}, [[0, 1, 2, 3]], ""),
        ("bpr", {"warmup.strategy": ["none", "dynamic"], "model.reg": [0.1, 0.2]}, [[0, 1], [2, 3]], ""),
        (
            "bpr",
            {"warmup.strategy": ["dynamic"], "mdvt.n": [1, 2], "mdvt.variant.choose": ["similar_frequent"]},
            [],
            "",
        ),
        (
            "bpr",
            {"warmup.strategy": ["dynamic"], "mdvt.variant.tau": [0.5], "mdvt.n": [0, 1, 2]},
            [[1, 2]],
            "",
        ),
        ("bpr", {"model.embed_dim": [2, 4]}, [], ""),
    ],
)
def test_who_shares_a_program(model, over, expected, word) -> None:
    found, said = grouped(model, over, {"config.batch_size": 128})
    assert found == expected and (word in " ".join(said) if word else not said)


def test_what_cannot_train_together() -> None:
    over = {"model.reg": [0.1, 0.2]}
    with pytest.raises(ConfigError, match="none share a program; leave memory 0"):
        search("bpr", DATA, over, method="optuna", trials=2, given=GIVEN, memory=ROOM)
    with pytest.raises(ConfigError, match="GB but one run in it needs"):
        search("bpr", DATA, over, given=GIVEN, memory=1000)
    with pytest.raises(ConfigError, match="give at least one, each once"):
        search("bpr", DATA, over, given=GIVEN, memory=ROOM, seeds=(0, 0))
