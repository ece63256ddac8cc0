"""The calls of a notebook, and what training promises: exact branches, early stopping, no look at test rows."""

import dataclasses
import functools
import pathlib
import subprocess

import jax
import numpy as np
import pytest

import jmmrec
from jmmrec.data import Dataset, SyntheticConfig, synthesize
from jmmrec.demo import bounds, demo
from jmmrec.errors import CheckpointError, ConfigError, DataError, DivergenceError, JmmrecError
from jmmrec.train import Static, TrainConfig, Trainer, WarmupConfig, checksum, record, train_lanes, trainer, with_mdvt
from jmmrec.train.record import RunFolder

SMALL = SyntheticConfig(n_users=30, n_items=24, interactions_per_user=8, modalities=(("image", 6, 0.9),))
MODEL = jmmrec.Freedom(embed_dim=4, knn_k=3)
CONFIG = TrainConfig(epochs=6, batch_size=64, seeds_per_program=1)


@dataclasses.dataclass(frozen=True)
class Loose(jmmrec.BprMf):
    """A backbone with a list in its config."""

    widths: list = dataclasses.field(default_factory=list)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Thirty users."""
    return synthesize(SMALL).dataset


def test_notebook(data: Dataset, tmp_path: pathlib.Path) -> None:
    result = jmmrec.fit("bpr", data, seeds=(3, 4), epochs=3, out=tmp_path / "run", quiet=True)
    assert [len(history) for history in result.history] == [3, 3]
    assert 0 < result.metrics["recall@20"] <= 1
    top = result.recommend(users=[5, 2], k=4)
    assert top.users.tolist() == [5, 2] and top.items.shape == top.scores.shape == (2, 4)
    assert (np.diff(top.scores) <= 0).all()
    user, item = result.vectors(seed=3)
    np.testing.assert_allclose((user @ item.T)[[[5], [2]], top.items], top.scores, rtol=1e-5)
    with pytest.raises(ConfigError, match="this run has no seed 9; it has 3, 4"):
        result.vectors(seed=9)
    seen = np.concatenate([data.train, data.valid])
    assert not set(top.items[0].tolist()) & set(seen[seen[:, 0] == 5, 1].tolist())
    assert result.plot(tmp_path / "curves.png").axes and (tmp_path / "curves.png").stat().st_size > 1000
    again = jmmrec.open_run(tmp_path / "run", data)
    assert again.metrics == result.metrics and again.history == result.history


def test_a_run_is_asked_what_it_was_trained_for(data: Dataset, tmp_path: pathlib.Path) -> None:
    config = dataclasses.replace(CONFIG, monitor="Recall@20")
    result = jmmrec.fit(MODEL, data, config=config, out=tmp_path / "run", quiet=True)
    assert result.config.monitor == "recall@20" and result.lanes[0].best_score > 0
    before = RunFolder(tmp_path / "run").read()
    other = synthesize(dataclasses.replace(SMALL, n_users=40)).dataset
    with pytest.raises(CheckpointError, match="is not the data this run of freedom was trained on"):
        jmmrec.evaluate(result, other)
    assert RunFolder(tmp_path / "run").read() == before
    assert jmmrec.evaluate(result, data, split="valid").users.size
    assert jmmrec.open_run(tmp_path / "run", data, MODEL).metrics == result.metrics
    for model in (dataclasses.replace(MODEL, knn_k=4), jmmrec.LightGcn(embed_dim=4)):
        with pytest.raises(CheckpointError, match="give the freedom that it was trained with"):
            jmmrec.open_run(tmp_path / "run", data, model)
    for wrong in (jmmrec.Freedom, "freedom"):
        with pytest.raises(ConfigError, match=r"model is .*; give (one of its kind|a backbone)"):
            jmmrec.open_run(tmp_path / "run", data, wrong)
    assert result.recommend("17", k=3).users.tolist() == result.recommend(17, k=3).users.tolist() == [17]
    with pytest.raises(DataError, match="no users were given"):
        result.recommend([])
    with pytest.raises(ConfigError, match="from 0 to 2"):
        jmmrec.fit(MODEL, data, seeds=(1 << 32,), quiet=True)
    with pytest.raises(ConfigError, match="takes no split, core"):
        jmmrec.load("synthetic", split="leave_one_out", core=5)


def test_a_run_of_an_earlier_version_goes_on(data: Dataset, tmp_path: pathlib.Path) -> None:
    """Options that came later have the defaults it was trained with; other values are another run."""
    how = {"config": CONFIG, "out": tmp_path / "run", "quiet": True}
    first, folder = jmmrec.fit(MODEL, data, **how), RunFolder(tmp_path / "run")
    record = folder.read()
    del record["config"]["reset_patience"], record["model"]["options"]["knn_k"]
    folder.write(record)
    with pytest.raises(CheckpointError, match="another model"):
        jmmrec.fit(MODEL, data, resume=True, **how)  # its knn_k is not the default
    record["model"]["options"]["knn_k"] = MODEL.knn_k
    del record["model"]["options"]["n_ui_layers"]
    folder.write(record)
    assert jmmrec.fit(MODEL, data, resume=True, **how).history == first.history
    with folder.lock(), pytest.raises(CheckpointError, match="another process is at work in"):
        jmmrec.fit(MODEL, data, resume=True, **how)


def test_branches_are_the_runs_from_scratch(data: Dataset) -> None:
    found = jmmrec.fit(MODEL, data, warmup=WarmupConfig("static", (0, 2, 4)), config=CONFIG, quiet=True)
    trained, scratch = found.epochs
    assert (trained, scratch) == (6 + 6 + 4 + 2, 4 * 6)
    bound = trainer(with_mdvt(MODEL), data.for_training(), CONFIG)
    alone = {t: train_lanes(bound, [bound.start(0, Static(t))])[0] for t in (0, 2, 4)}
    best = max(alone.values(), key=lambda lane: lane.best_score)
    chosen = found.lanes[0]
    assert chosen.best_score == best.best_score
    assert checksum(chosen.best) == checksum(alone[chosen.warmup.since].best)
    assert chosen.history == alone[chosen.warmup.since].history


def test_seeds_together_are_the_seeds_alone(data: Dataset) -> None:
    both = jmmrec.fit(MODEL, data, seeds=(0, 1), config=dataclasses.replace(CONFIG, seeds_per_program=0), quiet=True)
    for seed in (0, 1):
        alone = jmmrec.fit(MODEL, data, seeds=(seed,), config=CONFIG, quiet=True)
        for one, other in zip(jax.tree.leaves(both.runs[seed]), jax.tree.leaves(alone.runs[seed]), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("patience", [0, 2])
def test_stops_after_one_more_than_patience_without_improvement(data: Dataset, patience: int) -> None:
    lane = jmmrec.fit("bpr", data, epochs=500, patience=patience, batch_size=64, quiet=True).lanes[0]
    scores = [record["valid/recall@20"] for record in lane.history]
    assert lane.best_epoch == int(np.argmax(scores)) == lane.epoch - patience - 2
    assert len(scores) == lane.epoch < 500


def test_test_rows_change_nothing_before_evaluation(data: Dataset) -> None:
    assert not hasattr(data.for_training(), "test")
    other = dataclasses.replace(data, test=data.test[:3])
    one, two = (jmmrec.fit(MODEL, d, config=CONFIG, quiet=True) for d in (data, other))
    assert checksum(one.runs) == checksum(two.runs) and one.history == two.history
    assert one.metrics != two.metrics


def test_a_search_goes_on_without_a_branch_that_diverges(
    data: Dataset, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ill, sound = ["seed 0, T=1"], Trainer._broken

    def broken(self, lane, train, log):
        return f"{lane.label} diverged in epoch 2." if lane.label in ill and lane.epoch == 2 else sound(
            self, lane, train, log
        )  # fmt: skip

    monkeypatch.setattr(Trainer, "_broken", broken)
    how = {"config": CONFIG, "warmup": WarmupConfig("static", thresholds=(0, 1)), "quiet": True}
    result = jmmrec.fit(MODEL, data, out=tmp_path / "run", **how)
    assert "seed 0, T=1 diverged in epoch 2. The search went on without it." in capsys.readouterr().err
    assert result.lanes[0].label == "seed 0, T=0" and result.outcomes["none"][0].epoch == CONFIG.epochs
    assert jmmrec.open_run(tmp_path / "run", data).metrics == result.metrics
    ill.append("seed 0, T=0")
    with pytest.raises(DivergenceError, match="every static warm-up of seed 0 is lost: seed 0, T=0 diverged"):
        jmmrec.fit(MODEL, data, out=tmp_path / "other", **how)
    assert RunFolder(tmp_path / "other").read()["status"] == "diverged"


def test_a_trained_model_approaches_the_truth_as_data_grow() -> None:
    """Share of the optimum that FREEDOM reaches with 4 and 30 interactions a user; popularity stays behind."""
    shares = {"freedom": [], "popularity": []}
    model = jmmrec.Freedom(embed_dim=32)
    for count in (4, 30):
        config = SyntheticConfig(n_users=200, n_items=80, interactions_per_user=count, activity_skew=0.2, cold_items=0)
        made = synthesize(config)
        found = jmmrec.fit(model, made.dataset, epochs=50, patience=5, learning_rate=1e-2, batch_size=512, quiet=True)
        limits = bounds(made)
        best = limits["truth"]["ndcg@20"]
        shares["freedom"].append(found.metrics["ndcg@20"] / best)
        shares["popularity"].append(limits["popularity"]["ndcg@20"] / best)
    few, many = shares["freedom"]
    assert many > few + 0.1, shares
    assert many > 0.7 > shares["popularity"][-1] + 0.1, shares


def test_demo_writes_what_it_says(tmp_path: pathlib.Path) -> None:
    found = demo(
        tmp_path, seeds=(0, 1), data=SMALL, config=dataclasses.replace(CONFIG, epochs=3),
        warmup=WarmupConfig("all", thresholds=(0, 1), span=0), quiet=True,
    )  # fmt: skip
    names = [row[0] for row in found.table.rows]
    assert names[1:-1] == ["FREEDOM", "+ MDVT, static", "+ MDVT, dynamic", "+ MDVT, hybrid"]
    assert names[0].startswith("popularity") and names[-1].startswith("truth")
    assert [path.name for path in found.files] == ["table.md", "table.csv", "curves.png"]
    assert all(path.stat().st_size > 100 for path in found.files)
    assert found.verdict.startswith("On recall@20") and found.verdict in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"seeds": 3}, "seeds are 3; give whole numbers in a sequence"),
        ({"seeds": "0:3"}, "seeds are '0:3'; give whole numbers"),
        ({"seeds": (1, 1)}, r"seeds are \[1, 1\]; give at least one, each once"),
        ({"model": jmmrec.LightGcn}, r"model is the class LightGcn; give one of its kind, LightGcn\(\)"),
        ({"config": {"epochs": 1}}, "config is {'epochs': 1}; give a TrainConfig, or its fields"),
        ({"warmup": None}, "warmup is None; give none, static"),
        ({"knn_k": 5}, r"knn_k is an option of the model, .* as Freedom\(knn_k=...\)"),
        ({"epoch": 5}, "training has no option 'epoch'"),
        ({"model": 3}, r"model is 3; give a backbone, such as LightGcn\(\)"),
        ({"model": Loose(widths=[1])}, r"Loose cannot be static under jit \(.*; make it a frozen dataclass"),
        ({"mdvt": 3}, "mdvt is 3; give options of Mdvt by name"),
        ({"mdvt": {"n": 2}}, "virtual triplets are off; choose a warmup"),
        ({"model": with_mdvt(MODEL)}, "the model's virtual triplets never come in with warmup 'none'"),
        ({"model": with_mdvt(MODEL, active=True), "warmup": "static"}, "from the first epoch, so warmup 'static'"),
        ({"model": with_mdvt(MODEL), "warmup": "static", "mdvt": {"n": 2}}, "the model has its own; give all of them"),
        ({"out": ""}, "out is empty; name a folder"),
        ({"monitor": "recall@99"}, "monitor is recall@99 but synthetic has only 24 items; lower its K"),
        ({"batch_size": 10**12}, "batch_size is 1000000000000; it must lie in"),
    ],
)
def test_what_a_notebook_may_get_wrong(data: Dataset, how: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        jmmrec.fit(**({"model": MODEL, "data": data, "quiet": True} | how))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"ks": 20}, "ks are 20"),
        ({"metrics": "recall"}, "metrics 'recall'; give sequences"),
        ({"ks": (0,)}, "k is 0"),
        ({"ks": ()}, r"ks are \(\) and metrics .*; give at least one of each"),
        ({"metrics": ("recall@20",)}, r"give metrics=\('recall',\) and its K in ks"),
    ],
)
def test_what_an_evaluation_may_be_asked_wrongly(data: Dataset, how: dict, words: str) -> None:
    result = jmmrec.fit("bpr", data, epochs=1, quiet=True)
    with pytest.raises(ConfigError, match=words):
        result.evaluate(**how)


def test_calls_with_the_wrong_thing(data: Dataset, tmp_path: pathlib.Path) -> None:
    result = jmmrec.fit("bpr", data, epochs=1, quiet=True)
    audit = jmmrec.knockout.audit_modalities
    for words, call in {
        "the data is None; give the path": lambda: jmmrec.load(None),  # pyright: ignore
        r"the runs have no names; give them as": lambda: jmmrec.compare([result, result]),  # pyright: ignore
        "metric 'recall' has no rank": lambda: jmmrec.compare({"a": result, "b": result}, "recall"),
        "curves.xyz ends in 'xyz'; figures are": lambda: result.plot(tmp_path / "curves.xyz"),
        "missing seed is 1.5; it must be a whole": lambda: jmmrec.with_missing(data, 0.5, seed=1.5),  # pyright: ignore
        "seeds are 2; give whole numbers": lambda: audit("vbpr", data, seeds=2),  # pyright: ignore
        "the backbone is inside Mdvt already": lambda: with_mdvt(with_mdvt(MODEL)),
        "the backbone is inside Amr already": lambda: jmmrec.with_amr(jmmrec.with_amr(jmmrec.Vbpr())),
        "result is 3; give what fit returned": lambda: jmmrec.evaluate(3),  # pyright: ignore
        "model is 'bpr'; give a backbone": lambda: with_mdvt("bpr"),  # pyright: ignore
    }.items():
        with pytest.raises(JmmrecError, match=words):
            call()


def test_data_are_named_where_a_data_set_is_asked_for(data: Dataset, tmp_path: pathlib.Path) -> None:
    assert jmmrec.describe("synthetic").n_users == 1000
    assert jmmrec.load("synthetic", modalities="text").modalities.keys() == {"text"}
    hidden = jmmrec.with_missing("synthetic", 0.5)
    assert jmmrec.impute(hidden, "mean").digest != hidden.digest == jmmrec.with_missing("synthetic", 0.5).digest
    result = jmmrec.fit("bpr", data, epochs=1, out=tmp_path / "run", quiet=True)
    assert jmmrec.evaluate(tmp_path / "run", data).mean == result.metrics
    alike = jmmrec.compare({"a": result, "b": result}, "Recall@5")
    assert alike.columns[1:] == ("recall@5",) and not [note for note in alike.notes if "features" in note]
    other = jmmrec.fit("bpr", jmmrec.with_missing(data, 0.5, "same_items"), epochs=1, quiet=True)
    told = jmmrec.compare({"a": result, "b": other}, ["recall@5"]).notes[-1]
    assert told.startswith("Runs saw different features. a: synthetic, image; b: synthetic, 50 % missing (same_items")


def test_what_was_never_finished_or_is_small_opens(data: Dataset, tmp_path: pathlib.Path) -> None:
    """A model with virtual triplets from the first epoch is one in its record; 24 items are enough for old runs."""
    model, how = with_mdvt(MODEL, active=True), {"config": CONFIG, "out": tmp_path / "run", "quiet": True}
    first = jmmrec.fit(model, data, **how)
    assert jmmrec.open_run(tmp_path / "run", data).model == model
    assert jmmrec.fit(model, data, resume=True, **how).history == first.history
    with pytest.raises(CheckpointError, match="another model"):
        jmmrec.fit(MODEL, data, resume=True, **how)
    folder = RunFolder(tmp_path / "run")
    record = folder.read()
    record["config"]["monitor"] = "recall@99"  # as older versions allowed
    folder.write(record)
    assert jmmrec.evaluate(tmp_path / "run", data, model=model).mean == first.metrics


def test_numbers_of_numpy_are_plain_ones_in_a_record(data: Dataset, tmp_path: pathlib.Path) -> None:
    hidden = jmmrec.with_missing(data, np.float32(0.5), "same_items", seed=np.int64(3))  # pyright: ignore
    filled = jmmrec.impute(hidden, "random", seed=np.int64(3))  # pyright: ignore
    jmmrec.fit("vbpr", filled, epochs=1, out=tmp_path / "run", quiet=True)
    assert [step["seed"] for step in RunFolder(tmp_path / "run").read()["data"]["steps"]] == [3, 3]


def test_a_model_of_all_data_to_serve(data: Dataset, tmp_path: pathlib.Path) -> None:
    whole = data.all_in_train()
    assert len(whole.train) == len(data.train) + len(data.valid) + len(data.test)
    run = jmmrec.fit(MODEL, whole, monitor="none", epochs=3, warmup="dynamic", out=tmp_path / "run", quiet=True)
    assert [set(record) & {"valid/recall@20", "best"} for record in run.history[0]] == [set()] * 3
    assert run.lanes[0].best_epoch == 2 and repr(run).endswith("epochs=3, folder=" + repr(str(tmp_path / "run")) + ")")
    assert run.plot().axes[0].get_title(loc="left") == "loss" and len(run.plot().axes) == 1
    again = jmmrec.open_run(tmp_path / "run", whole)
    assert checksum(again.lanes[0].best) == checksum(run.lanes[0].best) and again.recommend([5], k=3).lists
    judged = jmmrec.fit(MODEL, data, epochs=3, patience=99, quiet=True)  # the same epochs, whoever looks at them
    unjudged = jmmrec.fit(MODEL, data, epochs=3, monitor="none", quiet=True)
    assert [r["loss"] for r in judged.history[0]] == [r["loss"] for r in unjudged.history[0]]
    with pytest.raises(DataError, match=r"no valid rows.*monitor='none'"):
        jmmrec.fit(MODEL, whole, epochs=3, quiet=True)
    with pytest.raises(DataError, match="no test rows, as all were trained on"):
        run.evaluate()
    for warmup in ("static", "hybrid", "all"):
        with pytest.raises(ConfigError, match="monitor is none, but what is searched"):
            jmmrec.fit(MODEL, whole, monitor="none", epochs=3, warmup=warmup, quiet=True)


def test_runs_without_a_valid_metric_are_compared_and_reported(data: Dataset, tmp_path: pathlib.Path) -> None:
    options = {"epochs": 4, "seeds": (0, 1), "quiet": True}
    plain = jmmrec.fit("bpr", data, monitor="None", eval_every=3, **options)  # pyright: ignore[reportArgumentType]
    judged = jmmrec.fit("bpr", data, patience=99, **options)  # pyright: ignore[reportArgumentType]
    assert plain.lanes[1].best_epoch == 3 and plain.config.monitor == "none"
    last = jmmrec.fit("bpr", data, monitor="none", **options)  # pyright: ignore[reportArgumentType]
    assert checksum(plain.lanes[1].best) == checksum(last.lanes[1].best)
    for runs in ({"a": plain}, {"a": plain, "b": judged}):
        assert jmmrec.write_summary(runs, tmp_path / str(len(runs)), metrics=["recall@5"])[0].exists()
    assert jmmrec.compare({"a": plain, "b": judged}, ["recall@5"]).rows
    with pytest.raises(ConfigError, match="say how many epochs"):
        jmmrec.fit("bpr", data, monitor="none", quiet=True)


def test_metrics_of_users_stay_when_others_come(data: Dataset, tmp_path: pathlib.Path) -> None:
    jmmrec.fit("bpr", data, epochs=1, out=tmp_path / "run", quiet=True)
    for metrics in (("recall",), ("coverage",), ("ndcg",)):
        jmmrec.evaluate(tmp_path / "run", data, ks=(5,), metrics=metrics)
    with np.load(tmp_path / "run" / "per_user-test-train.npz") as kept:
        assert set(kept.files) == {"users", "recall@5", "ndcg@5"}


def test_a_saved_run_says_who_trained_it(data: Dataset, tmp_path: pathlib.Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=3)
    run = jmmrec.fit(MODEL, data, config=config, warmup="all", seeds=(0, 1), out=tmp_path / "run", quiet=True)
    jmmrec.evaluate(run)
    folder = RunFolder(tmp_path / "run")
    folder.update(command="train elsewhere", device="gpu")
    copy = jmmrec.save_run(jmmrec.open_run(tmp_path / "run", data), tmp_path / "copy")
    before, after = folder.read(), RunFolder(copy).read()
    assert after.items() >= {k: before[k] for k in ("command", "device", "versions", "evaluations", "data")}.items()
    again = jmmrec.open_run(copy, data)
    assert again.epochs == run.epochs and list(again.outcomes) == list(run.outcomes)
    for strategy, lanes in run.outcomes.items():
        assert [again.outcomes[strategy][s].history for s in lanes] == [lane.history for lane in lanes.values()]
        assert [checksum(again.outcomes[strategy][s].best) for s in lanes] == [checksum(o.best) for o in lanes.values()]
    (tmp_path / "file").touch()
    for result, place, kind, words in (
        (run, None, ConfigError, "name one that holds no run"), ("x", tmp_path / "a", ConfigError, "give what fit"),
        (run, tmp_path / "file" / "a", CheckpointError, "could not write"),
    ):  # fmt: skip
        with pytest.raises(kind, match=words):
            jmmrec.save_run(result, place)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="leave missing_mask out"):
        jmmrec.open_run(tmp_path / "run", data, missing_mask="m.tsv")


def test_parts_are_found_without_being_imported() -> None:
    assert {"tuning", "knockout", "ot"} <= set(dir(jmmrec)) and jmmrec.tuning.Grid().lams


def test_a_run_knows_its_commit(tmp_path, monkeypatch) -> None:
    file = tmp_path / "jmmrec" / "train" / "record.py"
    file.parent.mkdir(parents=True)
    file.write_text("one")
    monkeypatch.setattr(record, "__file__", str(file))
    assert record.commit() == ""  # no checkout
    git = functools.partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)
    git(["git", "init", "-q"])
    assert record.commit() == ""  # nothing committed
    git(["git", "add", "."])
    git(["git", "-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "first"])
    head = record.commit()
    assert record.environment()["commit"] == head and len(head) >= 4
    (tmp_path / "notes.txt").write_text("no code")
    assert record.commit() == head
    file.write_text("two")
    assert record.commit() == f"{head}-dirty"
