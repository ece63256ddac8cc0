"""Searches choose on valid, are continued where they stopped, and tell what test would have claimed."""

import dataclasses
import json

import numpy as np
import pytest

import jmmrec
from jmmrec.data import SyntheticConfig, synthesize
from jmmrec.errors import CheckpointError, ConfigError, DivergenceError
from jmmrec.models import make, varied
from jmmrec.train.record import RunFolder
from jmmrec.tuning import Grid, Range, mdvt_grid, search

DATA = synthesize(SyntheticConfig(n_users=60, n_items=50, interactions_per_user=8)).dataset
GIVEN = {"config.epochs": 3, "config.batch_size": 128, "model.embed_dim": 4, "config.learning_rate": 0.02}


def beside(over) -> dict:
    """What is given where these are searched."""
    return {name: value for name, value in GIVEN.items() if name not in over}


def test_a_grid_is_its_runs(tmp_path) -> None:
    over = {"model.reg": [0.0, 0.1], "config.patience": [1, 5]}
    found = search("bpr", DATA, over, given=GIVEN, seeds=(0, 1), out=tmp_path / "s", quiet=True)
    assert [tuple(trial.settings.values()) for trial in found.trials] == [(0.0, 1), (0.0, 5), (0.1, 1), (0.1, 5)]
    training = {"epochs": 3, "batch_size": 128, "learning_rate": 0.02, "patience": 5}
    alone = jmmrec.fit(jmmrec.BprMf(embed_dim=4, reg=0.1), DATA, seeds=(0, 1), quiet=True, **training)
    assert dict(found.trials[3].scores) == {seed: lane.best_score for seed, lane in alone.lanes.items()}
    assert found.best.score == max(trial.score for trial in found.trials)
    assert found.epochs == sum(trial.epochs for trial in found.trials)
    assert "4 settings" in found.table().markdown() and "seeds: 0,1" in found.table().markdown()
    tested = [trial.result.evaluate(ks=(20,), metrics=("recall",)).mean["recall@20"] for trial in found.trials]
    told = found.claims()
    assert f"told as {max(tested):.4f}" in told and f"is {tested[found.trials.index(found.best)]:.4f}" in told


@dataclasses.dataclass(frozen=True)
class Mine(jmmrec.BprMf):
    """A backbone of one's own, with an option of its own."""

    temper: float = 1.0


def test_a_backbone_of_ones_own_is_searched(tmp_path) -> None:
    over, given = {"model.temper": [0.5, 1.0], "warmup.strategy": ["none", "dynamic"]}, {"config.epochs": 2}
    how = {"given": given | {"warmup.dynamic_min_epoch": 1, "mdvt.lam": 0.3}, "out": tmp_path / "s", "quiet": True}
    found = search(Mine(embed_dim=4, reg=0.02), DATA, over, **how)
    backbones = [trial.result.model for trial in found.trials]
    assert [getattr(one, "backbone", one) for one in backbones] == [Mine(4, 0.02, temper=t) for t in (0.5, 0.5, 1, 1)]
    assert [getattr(one, "lam", None) for one in backbones] == [None, 0.3, None, 0.3]
    again = search(Mine(embed_dim=4, reg=0.02), DATA, over, **how)
    assert [trial.scores for trial in again.trials] == [trial.scores for trial in found.trials]
    assert again.trials[1].result.metrics == found.trials[1].result.metrics
    with pytest.raises(CheckpointError, match="another model"):
        search(Mine(embed_dim=4, reg=0.03), DATA, over, **how)
    with pytest.raises(ConfigError, match="give the backbone itself"):
        search(jmmrec.with_mdvt(Mine()), DATA, over, quiet=True)
    with pytest.raises(ConfigError, match="Mine has no option 'bogus'"):
        search(Mine(), DATA, {"model.bogus": [1]}, quiet=True)


def test_options_of_a_group_leave_the_others_as_they_are() -> None:
    model = varied(make("ci2mg", ot={"refresh": "step"}), {"ot": {"delta": "none"}, "embed_dim": 8})
    assert (model.ot.refresh, model.ot.delta, model.embed_dim) == ("step", "none", 8)
    with pytest.raises(ConfigError, match="ci2mg's ot has no option 'bogus'"):
        varied(model, {"ot": {"bogus": 1}})


def test_a_search_needs_a_metric() -> None:
    for over, given in (({"model.reg": [0.1]}, {"config.monitor": "none"}), ({"config.monitor": ["none"]}, {})):
        with pytest.raises(ConfigError, match="a search chooses by a valid metric"):
            search("bpr", DATA, over, given=given, quiet=True)
    with pytest.raises(ConfigError, match="monitor is none"):
        mdvt_grid("bpr", DATA, Grid(), config={"monitor": "none"})


def test_a_search_continues(tmp_path, monkeypatch) -> None:
    over = {"model.reg": Range(1e-4, 1e-1, log=True)}
    how = {"method": "random", "trials": 3, "given": GIVEN, "out": tmp_path / "s", "quiet": True}
    whole = search("bpr", DATA, over, **{**how, "out": None})
    import jmmrec.tuning.trials as module

    really, count = module.fit, []

    def stopping(*args, **options):
        if len(count) == 2:
            raise KeyboardInterrupt
        count.append(1)
        return really(*args, **options)

    monkeypatch.setattr(module, "fit", stopping)
    with pytest.raises(KeyboardInterrupt):
        search("bpr", DATA, over, **how)
    monkeypatch.setattr(module, "fit", really)
    again = search("bpr", DATA, over, **how)
    assert [trial.settings for trial in again.trials] == [trial.settings for trial in whole.trials]
    assert [trial.scores for trial in again.trials] == [trial.scores for trial in whole.trials]
    with pytest.raises(CheckpointError, match="another given"):
        search("bpr", DATA, over, **{**how, "given": {**GIVEN, "config.epochs": 4}})
    (tmp_path / "s" / "search.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        search("bpr", DATA, over, **how)


def test_optuna_learns_and_continues(tmp_path) -> None:
    pytest.importorskip("optuna", reason="needs the extra `tune`")
    over = {"model.reg": Range(1e-4, 1e-1, log=True), "model.item_bias": [True, False], "config.patience": Range(1, 3)}
    how = {"method": "optuna", "given": GIVEN, "out": tmp_path / "s", "quiet": True}
    first = search("bpr", DATA, over, trials=2, **how)
    more = search("bpr", DATA, over, trials=4, **how)
    assert [t.settings for t in more.trials[:2]] == [t.settings for t in first.trials]
    assert len(json.loads((tmp_path / "s" / "search.json").read_text())["trials"]) == 4
    assert len({t.settings["model.reg"] for t in more.trials}) == 4


def test_virtual_triplets_are_searched_too() -> None:
    given = {**GIVEN, "warmup.strategy": "static", "warmup.thresholds": (1,)}
    found = search("bpr", DATA, {"mdvt.n": [1, 4]}, given=given, quiet=True)
    assert [trial.result.model.n for trial in found.trials] == [1, 4]  # pyright: ignore


def test_thresholds_are_searched_one_by_one() -> None:
    found = search("bpr", DATA, {"warmup.thresholds": [0, 1]}, given=GIVEN | {"warmup.strategy": "static"}, quiet=True)
    since = [trial.result.lanes[0].warmup.since for trial in found.trials]  # pyright: ignore
    assert since == [0, 1]


def test_amr_is_searched_too(tmp_path) -> None:
    """Around the backbone, inside virtual triplets; what is trained is read back."""
    given = {**GIVEN, "warmup.strategy": "dynamic", "amr.modalities": "image", "config.epochs": 1}
    for _ in range(2):
        found = search("vbpr", DATA, {"amr.eps": [0.1, 0.5]}, given=given, out=tmp_path, quiet=True)
        inner = [trial.result.model.backbone for trial in found.trials]  # pyright: ignore
        assert inner == [jmmrec.with_amr(jmmrec.Vbpr(embed_dim=4), eps=eps, modalities="image") for eps in (0.1, 0.5)]


@pytest.mark.parametrize(
    ("over", "how", "word"),
    [
        ({"model.depth": [1]}, {}, "has no option 'depth'"),
        ({"config.speed": [1]}, {}, "speed"),
        ({"model.reg": [0.1]}, {"method": "luck"}, "method is 'luck'"),
        ({"model.reg": Range(0.0, 1.0)}, {"method": "random"}, "method 'random' has no end of its own"),
        ({"mdvt.n": [1]}, {}, "mdvt.n changes nothing with warmup.strategy=none"),
        ({"warmup.gap": [0.1]}, {}, "warmup.gap changes nothing"),
        ({"model.reg": [0.1]}, {"trials": 0}, "trials is 0"),
        ({"model.reg": ["abc"]}, {}, "reg is 'abc'"),
        ({"model.embed_dim": [1.5]}, {}, "embed_dim is 1.5; it must be a whole number"),
        ({"config.batch_size": [1e3]}, {}, "batch_size is 1000.0; it must be a whole number"),
        ({"amr.bogus": [1]}, {}, "AMR has no option 'bogus'"),
        ({"warmup.strategy": ["hybrid"], "mdvt.variant.bogus": [1]}, {}, "variant has no option 'bogus'; it has aggr"),
        ({"warmup.strategy": ["hybrid"], "mdvt.bogus": [1]}, {}, "MDVT has no option 'bogus'"),
    ],
)
def test_searches_that_make_no_sense(over, how, word) -> None:
    with pytest.raises(ConfigError, match=word):
        search("bpr", DATA, over, given=beside(over), quiet=True, **how)


def test_settings_that_diverge_are_passed_over(tmp_path, capsys) -> None:
    """Also the second time, and NumPy's numbers are written as plain ones."""
    rates, slow = np.array([1e30, 1e-3]), beside({"config.learning_rate"})
    for _ in range(2):
        found = search("bpr", DATA, {"config.learning_rate": rates}, given=slow, out=tmp_path, quiet=True)
        assert [trial.result is None for trial in found.trials] == [True, False]
        assert found.best is found.trials[1]
        assert "Diverged, and not counted: config.learning_rate=1e+30" in found.table().markdown()
        assert "Chosen on valid" in found.claims()
    lost = search("bpr", DATA, {"config.learning_rate": [1e30]}, given=slow, quiet=True)
    with pytest.raises(DivergenceError, match="all 1 settings diverged"):
        assert lost.best


def test_a_search_that_trained_nothing_begins_anew(tmp_path) -> None:
    """A typo, a value outside its range or one that the data refuse leave the folder free."""
    how = {"given": GIVEN, "out": tmp_path / "s", "quiet": True}
    for over, words in (
        ({"model.regg": [0.0]}, "regg"),
        ({"model.reg": [0.0, -1.0]}, "reg is -1.0"),
        ({"config.monitor": ["recall@5", "recall@10"]}, "compared by"),
        ({"model.embed_dim": [4, 8]}, "both searched and given"),
    ):
        with pytest.raises(ConfigError, match=words):
            search("bpr", DATA, over, **how)
    assert not (tmp_path / "s").exists()
    with pytest.raises(ConfigError, match="monitor is recall@99"):
        search("bpr", DATA, {"model.reg": [0.1]}, **{**how, "given": {**GIVEN, "config.monitor": "recall@99"}})
    assert len(search("bpr", DATA, {"model.reg": [0.1]}, **how).trials) == 1
    with pytest.raises(CheckpointError, match="another space"):
        search("bpr", DATA, {"model.reg": [0.2]}, **how)
    with RunFolder(tmp_path / "s").lock(), pytest.raises(CheckpointError, match="another process is at work in"):
        search("bpr", DATA, {"model.reg": [0.1]}, **how)
    with pytest.raises(ConfigError, match="out is empty"):
        search("bpr", DATA, {"model.reg": [0.1]}, **{**how, "out": ""})


def test_options_of_virtual_triplets_beside_a_strategy_without(tmp_path) -> None:
    over = {"warmup.strategy": ["none", "static"], "config.monitor": ["recall@10"]}
    given = {**GIVEN, "mdvt.n": np.int64(1), "warmup.thresholds": 0}
    found = search("bpr", DATA, over, given=given, out=tmp_path / "s", quiet=True)
    assert [trial.result.name for trial in found.trials] == ["bpr", "bpr+mdvt"]  # pyright: ignore
    assert found.monitor == "recall@10"
