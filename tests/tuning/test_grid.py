"""MDVT's grid: every cell has the bits of a run from scratch, and only different epochs are trained."""

import dataclasses
import functools
import hashlib
import itertools
import json

import jax
import numpy as np
import pytest

import jmmrec
from jmmrec.data import SyntheticConfig, synthesize
from jmmrec.errors import CheckpointError, ConfigError, DivergenceError
from jmmrec.models import Freedom
from jmmrec.train import TrainConfig, Trainer, WarmupConfig, trainer, with_mdvt
from jmmrec.tuning import Grid, mdvt_grid, shelf
from jmmrec.tuning.shelf import Shelf

pytestmark = pytest.mark.xdist_group("grid")  # one worker trains it
DATA = synthesize(SyntheticConfig(n_users=60, n_items=50, interactions_per_user=8)).dataset
MODEL = Freedom(embed_dim=4, knn_k=3)
CONFIG = {"batch_size": 128, "learning_rate": 0.02, "patience": 3, "epochs": 14, "checkpoint_seconds": 0}
GRID = Grid(lams=(0.2, 0.5), ns=(1, 4), thresholds=(0, 2, 5, 80), gaps=(0.05, 0.3), spans=(1, 2), dynamic_min_epoch=1)


@pytest.fixture(scope="module")
def found():
    return mdvt_grid(MODEL, DATA, GRID, seeds=(0, 1), config=CONFIG)


@functools.cache
def alone(lam: float, n: int, seed: int, **options) -> jmmrec.Result:
    """One run of its own from its first epoch to its last: no trunk, no branch, no search."""
    warmup = WarmupConfig(**options, dynamic_min_epoch=1)
    assert not warmup.searches
    config = jmmrec.TrainConfig(**CONFIG, seeds_per_program=1)
    return jmmrec.fit(MODEL, DATA, warmup=warmup, mdvt={"lam": lam, "n": n}, seeds=(seed,), config=config, quiet=True)


def scratch(key, seed) -> list[jmmrec.Result]:
    """The runs that a cell trains when it stands alone, the one it keeps first."""
    strategy, lam, n, first, span = key
    if strategy == "static":
        return [alone(lam, n, seed, strategy="static", thresholds=first)]
    dynamic = alone(lam, n, seed, strategy="dynamic", gap=first)
    current = dynamic.lanes[seed].warmup.since
    if strategy == "dynamic" or current is None:
        return [dynamic]
    counts = range(max(0, current - span), current + span + 1)
    runs = {count: alone(lam, n, seed, strategy="static", thresholds=count) for count in counts}
    kept = max(runs, key=lambda count: (runs[count].lanes[seed].best_score, count == current, -count))
    return [runs.pop(kept), *runs.values()]


CELLS = list(itertools.product(GRID.cells(), (0, 1)))
TEN = [CELLS[int(number)] for number in np.random.default_rng(4).choice(len(CELLS), 10, replace=False)]


@pytest.mark.parametrize(("key", "seed"), TEN, ids=str)
def test_ten_random_cells_are_runs_from_scratch_bit_for_bit(found, key, seed) -> None:
    kept = scratch(key, seed)[0]
    lane, own = found.lane(key, seed), kept.lanes[seed]
    assert (lane.best_score, lane.best_epoch, lane.stopped) == (own.best_score, own.best_epoch, own.stopped)
    assert lane.history == own.history  # losses and valid metrics of every epoch
    jax.tree.map(np.testing.assert_array_equal, lane.best[0], own.best[0])
    jax.tree.map(np.testing.assert_array_equal, lane.best[1]["backbone"], own.best[1]["backbone"])
    place = list(found.trunks).index(seed)
    for metric, values in found.evaluate(key, ks=(5, 20)).per_seed.items():
        assert values[place] == kept.evaluate(ks=(5, 20)).per_seed[metric][0]


def test_epochs_are_counted(found) -> None:
    trained, once, every = found.epochs
    assert trained < once and 4 * trained <= every
    lanes = [*found.trunks.values(), *found.branches.values()]
    assert once == sum(lane.epoch for lane in lanes)
    key = ("static", 0.2, 4, 80, None)
    assert found.lane(key, 0) is found.trunks[0]  # never switched on: the backbone
    for key, seed in TEN:
        epochs = sorted(run.lanes[seed].epoch for run in scratch(key, seed))
        assert epochs == sorted(lane.epoch for lane in found._runs(key, seed))


def with_times(found, seconds):
    """As if every epoch of a lane's own had taken so long."""

    def _timed(lanes):
        return {k: dataclasses.replace(x, times=(seconds(x),) * (x.epoch - x.born)) for k, x in lanes.items()}

    return dataclasses.replace(found, trunks=_timed(found.trunks), branches=_timed(found.branches))


def test_wall_time_is_told_against_runs_from_scratch(found) -> None:
    trained, _, every = found.epochs
    even = with_times(found, lambda lane: 1.0)
    assert even.seconds == (trained, every)
    assert f"wall time: {trained} s; {every:,} s if every cell began from scratch" in even.table().notes[0]
    slow = with_times(found, lambda lane: 3.0 if lane.role == "branch" else 1.0)
    own = sum(lane.epoch - lane.born for lane in slow._scratch if lane.role == "branch")
    assert slow.seconds == (trained + 2 * sum(x.epoch - x.born for x in slow.branches.values()), every + 2 * own)
    spent, whole = found.seconds
    assert spent > 0 and whole > 0
    slowest = found.trunks[0].times
    late = dataclasses.replace(found.trunks[0], times=(slowest[0] + 1e3, *slowest[1:]))  # the epoch that compiles
    later = dataclasses.replace(found, trunks={**found.trunks, 0: late})
    assert later.seconds == pytest.approx((spent + 1e3, whole))


def test_folders_from_before_times_were_kept_say_nothing_of_them(tmp_path) -> None:
    small = Grid(lams=(0.2,), ns=(1,), thresholds=(0, 1), gaps=(), spans=())
    how = {"config": {**CONFIG, "epochs": 2}, "out": tmp_path}
    assert mdvt_grid(MODEL, DATA, small, **how).seconds == pytest.approx(mdvt_grid(MODEL, DATA, small, **how).seconds)
    for path in tmp_path.glob("branches/*/branch.json"):
        about = json.loads(path.read_text())
        del about["times"]
        path.write_text(json.dumps(about))
    for path in tmp_path.glob("trunks/checkpoints/*.json"):
        lanes = json.loads(json.loads(path.read_text())["body"])["lanes"]
        body = json.dumps({"lanes": [{k: v for k, v in lane.items() if k != "times"} for lane in lanes]})
        path.write_text(json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}))
    again = mdvt_grid(MODEL, DATA, small, **how)
    assert again.seconds is None and "wall time" not in again.table().notes[0]


def test_tables_and_claims(found) -> None:
    best = found.best("static")
    scores = {key: np.mean(found.score(key)) for key in GRID.cells()}
    assert scores[best] == max(score for key, score in scores.items() if key[0] == "static")
    text = found.table("recall@10").markdown()
    assert all(word in text for word in ("hybrid", "test recall@10", f"{len(GRID.cells())} cells", "masked: train"))
    tests = [found.evaluate(key, ks=(10,), metrics=("recall",)).mean["recall@10"] for key in GRID.cells()]
    assert f"told as {max(tests):.4f}" in found.claims("recall@10")


@pytest.mark.parametrize("mdvt", [{}, {"refresh": "epoch"}], ids=str)
def test_a_killed_grid_continues(tmp_path, monkeypatch, mdvt) -> None:
    small = Grid(lams=(0.2,), ns=(1, 4), thresholds=(0, 3), gaps=(), spans=())
    how = {"config": {**CONFIG, "epochs": 6}, "mdvt": mdvt}
    whole = mdvt_grid(MODEL, DATA, small, **how)
    really, left = Shelf.branch, [2]

    def stopping(self, *args):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return really(self, *args)

    monkeypatch.setattr(Shelf, "branch", stopping)
    with pytest.raises(KeyboardInterrupt):
        mdvt_grid(MODEL, DATA, small, out=tmp_path, **how)
    monkeypatch.setattr(Shelf, "branch", really)
    said: list[str] = []
    again = mdvt_grid(MODEL, DATA, small, out=tmp_path, say=said.append, **how)
    assert len([line for line in said if "/4" in line]) == 4
    for key, lane in whole.branches.items():
        jax.tree.map(np.testing.assert_array_equal, lane.best[0], again.branches[key].best[0])
        assert lane.history == again.branches[key].history
    assert again.epochs == whole.epochs
    with pytest.raises(CheckpointError, match="another grid"):
        mdvt_grid(MODEL, DATA, Grid(lams=(0.3,), ns=(1,)), out=tmp_path, **how)
    about = tmp_path / "grid.json"
    record = json.loads(about.read_text())
    del record["config"]["reset_patience"]
    about.write_text(json.dumps(record))
    assert mdvt_grid(MODEL, DATA, small, out=tmp_path, **how).epochs == whole.epochs  # written before that option
    about.write_text("[")
    with pytest.raises(CheckpointError, match=r"grid\.json cannot be read"):
        mdvt_grid(MODEL, DATA, small, out=tmp_path, **how)
    about.unlink()
    next(tmp_path.glob("branches/*/branch.json")).write_text("{}")
    with pytest.raises(CheckpointError, match="remove that folder"):
        mdvt_grid(MODEL, DATA, small, out=tmp_path, **how)


def held(grid, config) -> tuple[int, int]:
    """What the grid's programs of several branches hold, and what each branch adds."""
    bound = trainer(with_mdvt(MODEL, lam=grid.lams[0], n=max(grid.ns)), DATA.for_training(), TrainConfig(**config))
    lane = dataclasses.replace(bound.start(0), numbers=(("lam", 0.2), ("taken", 1)))
    fixed, each = bound.held(lane)
    assert bound.program_bytes([lane] * 5) <= 1.02 * (fixed + 5 * each)
    assert each > 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(lane.train))  # temporaries count
    return fixed, each


def test_branches_in_one_program_are_branches_alone(tmp_path) -> None:
    """λ, n and the epoch of activation differ; programs hold four, so the last is filled up."""
    small = Grid(lams=(0.1, 0.5), ns=(1, 4), thresholds=(0, 3, 5), gaps=(), spans=())
    config = {**CONFIG, "epochs": 7, "patience": 9}
    alone = mdvt_grid(MODEL, DATA, small, config=config)
    fixed, each = held(small, config)
    for _ in range(2):  # the second time everything is read
        found = mdvt_grid(MODEL, DATA, small, config=config, out=tmp_path, memory=fixed + 4 * each)
        assert found.branches.keys() == alone.branches.keys()
        for key, lane in alone.branches.items():
            assert len(found.branches[key].times) == lane.epoch - lane.born
            losses, others = ([record["loss"] for record in one.history] for one in (lane, found.branches[key]))
            np.testing.assert_allclose(losses, others, rtol=2e-4)


def test_a_branch_that_does_not_fit_is_told() -> None:
    small = Grid(lams=(0.2,), ns=(1,), thresholds=(0,), gaps=(), spans=())
    with pytest.raises(ConfigError, match=r"memory is 6.1e-05 GB but one run in it needs .*; give that, or 0 to"):
        mdvt_grid(MODEL, DATA, small, config={**CONFIG, "epochs": 1}, memory=1 << 16)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"lams": ()}, "lams are"), ({"ns": (1, 1)}, "ns are"), ({"lams": (0.0,)}, "backbone alone"),
        ({"gaps": (0.0,)}, "gap is 0"), ({"thresholds": (-1,)}, "threshold is -1"),
        ({"thresholds": (), "gaps": ()}, "neither thresholds nor gaps"), ({"cross": (0.2, 3)}, "cross is"),
    ],
)  # fmt: skip
def test_grids_that_make_no_sense(options, word) -> None:
    with pytest.raises(ConfigError, match=word):
        Grid(**options)


def test_a_cross_varies_one_number_at_a_time() -> None:
    sizes = {"lams": (0.1, 0.2), "ns": (1, 2, 4), "thresholds": (0,), "gaps": (), "spans": ()}
    cross = Grid(**sizes, cross=(0.2, 2))
    assert [key[1:3] for key in cross.cells()] == cross.pairs == [(0.1, 2), (0.2, 1), (0.2, 2), (0.2, 4)]
    found = mdvt_grid(MODEL, DATA, cross, config={**CONFIG, "epochs": 2})
    assert sorted({key[1:3] for key in found.branches}) == cross.pairs


@pytest.mark.parametrize("strategy", ["static", "hybrid", None])
def test_a_cell_is_a_run_that_recommends_and_is_kept(found, strategy, tmp_path) -> None:
    key = strategy and found.best(strategy)
    run = found.result(key)
    assert run.evaluate(ks=(5,)).mean == found.evaluate(key, ks=(5,)).mean
    assert run.name == ("freedom+mdvt" if key else "freedom") and len(run.history[1]) == run.lanes[1].epoch
    again = jmmrec.open_run(jmmrec.save_run(run, tmp_path / "run"), DATA)
    assert (again.model, again.config, again.warmup, again.history) == (run.model, run.config, run.warmup, run.history)
    np.testing.assert_array_equal(again.recommend(k=3, seed=1).items, run.recommend(k=3, seed=1).items)
    if key:
        assert (run.model.lam, run.model.n, run.warmup.strategy) == (*key[1:3], strategy)
    with pytest.raises(ConfigError, match="already holds a run"):
        jmmrec.save_run(run, tmp_path / "run")
    with pytest.raises(CheckpointError, match="is finished and holds no checkpoint"):
        options = {"config": again.config, "warmup": again.warmup, "seeds": (0, 1)}
        jmmrec.fit(again.model, DATA, out=tmp_path / "run", resume=True, quiet=True, **options)


def test_cells_of_another_grid_are_no_backbone(found) -> None:
    for key in (("static", 0.9, 4, 2, None), ("static", 0.2, 4, 7, None), ("hybrid", 0.2, 4, 0.05, 5)):
        with pytest.raises(ConfigError, match="this grid has no"):
            found.lane(key, 0)


@pytest.mark.parametrize(
    ("ns", "how", "word"),
    [
        ((1, 2), {"mdvt": {"lam": 0.9}}, "give it as the grid's lams"),
        ((0, 2), {"memory": 1 << 30, "mdvt": {"variant": {"tau": 0.5}}}, "leave memory 0"),
        ((1, 2), {"memory": 1 << 30, "mdvt": {"variant": {"choose": "similar_frequent"}}}, "leave memory 0"),
        ((1, 2), {"mdvt": {"bogus": 1}}, "MDVT has no option 'bogus'"),
        ((1, 2), {"config": {"bogus": 1}}, "training has no option 'bogus'"),
    ],
)
def test_what_a_grid_cannot_do(ns, how, word) -> None:
    with pytest.raises(ConfigError, match=word):
        mdvt_grid(MODEL, DATA, Grid(ns=ns), **how)


@pytest.mark.parametrize(("every", "first"), [(1, 6), (2, 5), (2, 6)])
def test_patience_may_begin_anew(every, first) -> None:
    """As in a run from scratch, whether or not the last plain epoch was judged, and here it makes a difference."""
    small, key = Grid(lams=(0.2,), ns=(1,), thresholds=(first,), gaps=(), spans=()), ("static", 0.2, 1, first, None)
    config = {**CONFIG, "reset_patience": True, "eval_every": every}
    lane = mdvt_grid(MODEL, DATA, small, config=config).lane(key, 0)
    alone = jmmrec.fit(
        MODEL, DATA, warmup=WarmupConfig("static", thresholds=(first,)), mdvt={"lam": 0.2, "n": 1}, quiet=True,
        config=jmmrec.TrainConfig(**config, seeds_per_program=1),
    )  # fmt: skip
    assert (lane.epoch, lane.best_score) == (alone.epochs[0], alone.lanes[0].best_score)
    if every == 1:
        assert lane.epoch > mdvt_grid(MODEL, DATA, small, config=CONFIG).lane(key, 0).epoch


def test_branches_are_read_whatever_program_trained_them(tmp_path) -> None:
    small = Grid(lams=(0.2,), ns=(1, 4), thresholds=(0,), gaps=(), spans=())
    how = {"config": {**CONFIG, "epochs": 3}, "mdvt": {"refresh": "epoch"}, "out": tmp_path}
    first = mdvt_grid(MODEL, DATA, small, **how, memory=1 << 30)
    again = mdvt_grid(MODEL, DATA, small, **how)
    assert [lane.history for lane in first.branches.values()] == [lane.history for lane in again.branches.values()]
    assert again.evaluate(("static", 0.2, 1, 0, None)).mean == first.evaluate(("static", 0.2, 1, 0, None)).mean


@pytest.mark.parametrize("memory", [0, 10**9])
def test_a_cell_that_diverges_is_left_out(memory, tmp_path, monkeypatch) -> None:
    """The others are trained, and the folder remembers."""
    loop, sound, tried = shelf.train_lanes, Trainer._broken, []

    def counted(bound, lanes, **how):
        tried.append(lanes)
        return loop(bound, lanes, **how)

    def fragile(self, lane, train, log):
        if lane.role == "branch" and dict(lane.numbers).get("lam", self.model.lam) == 0.5 and lane.epoch == 3:
            return "seed 0 diverged in epoch 3"
        return sound(self, lane, train, log)

    monkeypatch.setattr(shelf, "train_lanes", counted)
    monkeypatch.setattr(Trainer, "_broken", fragile)
    small = Grid(lams=(0.5, 0.2), ns=(1,), thresholds=(2,), gaps=(0.05,), spans=(1,), dynamic_min_epoch=1)
    how = {"config": CONFIG | {"epochs": 5}, "out": tmp_path, "memory": memory}
    found = mdvt_grid(MODEL, DATA, small, **how)
    assert found.best("static") == ("static", 0.2, 1, 2, None)
    assert all(key[1] == 0.2 for key in found.finished) and len(found.finished) == 3
    assert found.lane(("static", 0.5, 1, 2, None), 0).stopped == "seed 0 diverged in epoch 3"
    assert "Diverged: static, λ 0.5, n 1, T 2; dynamic" in found.table("recall@5").notes[1]
    assert "Chosen on valid" in found.claims("recall@5")
    with pytest.raises(DivergenceError, match=r"the run of λ 0.5, n 1, T 2 is lost: seed 0 diverged in epoch 3"):
        found.evaluate(("static", 0.5, 1, 2, None))
    count = len(tried)
    assert mdvt_grid(MODEL, DATA, small, **how).finished == found.finished
    assert len(tried) == count + 1  # the trunk is read by training it no further


def test_a_strategy_that_always_diverges_is_told(found) -> None:
    lost = {key: dataclasses.replace(lane, best=None) for key, lane in found.branches.items()}
    gone = dataclasses.replace(found, branches=lost, grid=dataclasses.replace(GRID, thresholds=(0,)))
    with pytest.raises(DivergenceError, match="every static cell diverged; lower the learning rate"):
        gone.best("static")
    shown = [row[0] for row in gone.table("recall@5").rows]
    assert shown[0] == "none" and "static" not in shown
