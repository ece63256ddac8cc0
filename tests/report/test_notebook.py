"""What a notebook shows of what one gets back: it asks for these representations by name."""

import numpy as np
import pytest

import jmmrec
from jmmrec import tuning
from jmmrec.data import SyntheticConfig
from jmmrec.errors import ConfigError
from jmmrec.knockout import Finding, ModalityAudit
from jmmrec.report import Table


@pytest.fixture(scope="module")
def run():
    return jmmrec.fit("bpr", "synthetic", epochs=2, seeds=(0, 1), quiet=True)


def test_figures_show_themselves_without_pyplot(run) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    picture = run.plot()._repr_png_()
    assert picture.startswith(b"\x89PNG") and len(picture) > 5_000


def test_tables_are_readable(run) -> None:
    table = jmmrec.compare({"one": run, "<two>": run}, ["recall@20"], baseline="<two>")
    assert "<td>&lt;two&gt;</td>" in table._repr_html_() and str(table) == table.markdown()
    assert table.facts["split"] == "test" and table.details is not None
    lists = run.recommend(k=3)
    assert lists._repr_html_().count("<tr>") == 21 and "The first 20 of" in lists._repr_html_()
    assert str(lists.items[0][0]) in lists.table(1).rows[0][1] and len(lists.table(1).rows) == 1
    assert isinstance(lists.table(), Table)


def test_numbers_are_said_in_one_line(run) -> None:
    told = repr(run.evaluate(ks=(20,), metrics=("recall",)))
    mean = np.mean(list(run.evaluate().per_seed["recall@20"]))
    assert told.startswith("Evaluation(test, masked: train, seeds: 0, 1; ") and f"recall@20 {mean:.4f}" in told
    best = run.lanes[1].best_score
    assert f"{best:.4f}, epochs=4)" in repr(run) and "\n" not in repr(run) + told
    assert len(repr(run.lanes[0])) < 400 and "best_score=" in repr(run.lanes[0])


def test_data_are_said_in_one_line() -> None:
    found = jmmrec.synthesize(SyntheticConfig(n_users=40, n_items=30, interactions_per_user=8))
    data = jmmrec.with_missing(found.dataset, 0.5)
    told = repr(data)
    assert told.startswith("Dataset(synthetic: 40 users, 30 items; train ") and "\n" not in told and len(told) < 200
    assert f"image 30 × {data.modalities['image'].dim}, " not in told and "% observed" in told
    assert repr(data.for_training()).startswith("TrainingData(") and "test" not in repr(data.for_training())
    assert repr(found).startswith("Synthetic(dataset=Dataset(") and "truth" not in repr(found)
    assert repr(jmmrec.describe(data)) == str(jmmrec.describe(data))


def test_searches_and_audits_show_their_tables() -> None:
    small = jmmrec.synthesize(SyntheticConfig(n_users=40, n_items=30, interactions_per_user=8)).dataset
    found = tuning.search("bpr", small, {"model.embed_dim": [2, 4]}, given={"config.epochs": 1}, quiet=True)
    assert found._repr_html_() == found.table().html()
    grid = tuning.Grid(lams=(0.2,), ns=(1,), thresholds=(0,), gaps=(), spans=())
    assert (
        repr(tuning.mdvt_grid("bpr", small, grid, config={"epochs": 1})) == "GridResult(1 cells, seeds=[0], epochs=2)"
    )
    how = {"permuted": 0.5, "real": 0.6}
    one = Finding(modality="image", how="permuted", mean=how["permuted"], difference=0.1, low=0.05, high=0.15)
    audit = ModalityAudit("vbpr", "toy", "recall@20", "test", (0,), how["real"], (one,))
    assert "vbpr uses image" in str(audit) and "vbpr uses image" in audit._repr_html_() and "| image |" in str(audit)


def test_what_cannot_be_compared(run) -> None:
    small = jmmrec.synthesize(SyntheticConfig(n_users=40, n_items=30, interactions_per_user=8)).dataset
    other = jmmrec.fit("bpr", small, epochs=1, quiet=True)
    with pytest.raises(ConfigError, match="b was trained on another data set or split than a"):
        jmmrec.compare({"a": run, "b": other})
    with pytest.raises(ConfigError, match="there is no run"):
        jmmrec.compare({})
    with pytest.raises(ConfigError, match="metrics are empty"):
        jmmrec.compare({"a": run}, [])
    with pytest.raises(ConfigError, match="k is 10000"):
        jmmrec.compare({"a": run}, ["recall@10000"])
    with pytest.raises(ConfigError, match="baseline"):
        jmmrec.compare({"a": run, "b": run}, baseline="c")
