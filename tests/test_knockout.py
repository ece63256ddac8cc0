"""The modality audit: what a knock-out leaves, bounds that hold under chance, and verdicts on known truth."""

import types

import numpy as np
import pytest

from jmmrec.data import Dataset, Modality, SyntheticConfig, impute, replay, synthesize, with_missing
from jmmrec.data.knockout import KNOCKOUTS, knock_out
from jmmrec.errors import ConfigError, DataError
from jmmrec.knockout import Finding, ModalityAudit, audit_modalities, difference
from jmmrec.models import Mmgcl, Vbpr

RNG = np.random.default_rng(0)
HERE = np.array([True, True, False, True, True])
TEXT, IMAGE = Modality(RNG.normal(size=(5, 3)), HERE), Modality(RNG.normal(size=(5, 2)))
DATA = Dataset(2, 5, [[0, 0], [1, 1]], [], [], {"text": TEXT, "image": IMAGE})


@pytest.mark.parametrize("how", KNOCKOUTS)
def test_only_the_named_modality_is_knocked_out(how) -> None:
    made = knock_out(DATA, "text", how, seed=3)
    assert made.modalities["image"] is IMAGE
    assert made.digest == replay(DATA, made.steps).digest != DATA.digest
    if how == "absent":
        assert list(made.modalities) == ["image"]
        return
    text = made.modalities["text"]
    assert (text.present == HERE).all() and not text.features[2].any()
    rows, old = text.features[HERE], TEXT.features[HERE]
    if how == "permuted":
        assert sorted(map(tuple, rows)) == sorted(map(tuple, old)) and (rows != old).any()
    elif how == "constant":
        np.testing.assert_allclose(rows, np.broadcast_to(old.mean(axis=0), old.shape), rtol=1e-6)
    else:
        assert not np.isin(rows, old).any()
        assert (knock_out(DATA, "text", how, seed=4).modalities["text"].features != text.features).any()


def test_published_neighbours_go_with_the_features() -> None:
    near = np.tile(np.arange(2), (5, 1))
    data = Dataset(2, 5, [[0, 0], [1, 1]], [], [], {"text": Modality(TEXT.features, neighbours=near)})
    assert knock_out(data, "text", "permuted").modalities["text"].neighbours is None


def test_bad_knock_outs() -> None:
    with pytest.raises(DataError, match="only modality"):
        knock_out(DATA.select("text"), "text", "absent")
    with pytest.raises(DataError, match="no modality 'sound'"):
        knock_out(DATA, "sound", "noise")
    with pytest.raises(ConfigError, match="how is 'gone'"):
        knock_out(DATA, "text", "gone")
    with pytest.raises(ConfigError, match="2 or more"):
        audit_modalities("vbpr", DATA, seeds=(0,))
    with pytest.raises(ConfigError, match="each once"):
        audit_modalities("vbpr", DATA, seeds=(0, 0, 1))
    with pytest.raises(DataError, match="fewer than 2 users with valid items"):
        audit_modalities("vbpr", DATA)
    for name, how in (("text", "permuted"), ("image", "noise"), ("text", "absent")):
        with pytest.raises(DataError, match=r"rows of text were imputed .* knock out first, then impute"):
            knock_out(impute(DATA, "mean"), name, how)
    several = small()
    picky = Mmgcl(embed_dim=4, modal_weights=(("image", 0.5), ("text", 0.5)))
    with pytest.raises(ConfigError, match="modal_weights"):  # before anything is trained
        audit_modalities(picky, several, knockouts=["absent"], epochs=10**6)
    with pytest.raises(ConfigError, match="knock-out is"):
        audit_modalities("vbpr", DATA, knockouts=["gone"])


@pytest.fixture
def trained(monkeypatch) -> list[Dataset]:
    """The data sets that an audit trains on; nothing is trained, every user gets another number."""
    seen: list[Dataset] = []

    def _fit(model, data, *, seeds, **options):
        seen.append(data)
        gaps = np.random.default_rng([len(seen), *seeds]).random((1, 40))
        return types.SimpleNamespace(evaluate=lambda **asked: types.SimpleNamespace(per_user={"recall@20": gaps}))

    monkeypatch.setattr("jmmrec.knockout.fit", _fit)
    return seen


def small() -> Dataset:
    return synthesize(SyntheticConfig(n_users=40, n_items=30, interactions_per_user=8)).dataset.select("image", "text")


def test_rows_are_filled_after_each_knock_out(trained) -> None:
    """Filled rows come from knocked-out ones: nothing of the real rows is left, and no row is missing."""
    data = with_missing(small(), 0.8, "per_modality")
    found = audit_modalities("vbpr", data, modalities=["text"], seeds=(0, 1), impute="nn")
    assert found.data == "synthetic, 80 % missing (per_modality, seed 0), imputed by nn" and found.model == "vbpr"
    assert [f.how for f in found.findings] == list(KNOCKOUTS) and len(trained) == 2 * (1 + len(KNOCKOUTS))
    assert all(m.present.all() for one in trained for m in one.modalities.values())
    assert [step["do"] for step in trained[-1].steps] == ["draw", "knock out", "impute"]
    real = {row.tobytes() for row in data.modalities["text"].features[data.modalities["text"].present]}
    for one in trained[4:8]:  # noise and constant rows
        assert not real & {row.tobytes() for row in one.modalities["text"].features}


def test_absent_is_left_out_with_a_word_where_nothing_else_is_left(trained) -> None:
    found = audit_modalities("vbpr", small().select("text"), seeds=(0, 1))
    assert "absent" not in [f.how for f in found.findings] and len(trained) == 2 * len(KNOCKOUTS)
    assert "Absent is left out: without text" in found.table().markdown() and "Absent is" in str(found)
    assert not audit_modalities("vbpr", small().select("text"), seeds=(0, 1), knockouts=[]).remarks


def test_without_a_fill_missing_rows_stay_missing(trained) -> None:
    audit_modalities("vbpr", with_missing(small(), 0.5), knockouts=[], seeds=(0, 1))
    assert all(step["do"] != "impute" for one in trained for step in one.steps)
    assert all(m.imputed is None for one in trained for m in one.modalities.values())


@pytest.mark.parametrize("option", [{}, {"impute": "mean"}, {"modalities": ["image"]}])
def test_imputed_data_are_refused_before_anything_is_trained(trained, option) -> None:
    data = impute(with_missing(small(), 0.5, "single:text"), "mean")
    with pytest.raises(
        DataError, match=r"rows of text of synthetic were imputed .* give the data set .* impute='mean'"
    ):
        audit_modalities("vbpr", data, knockouts=[], **option)
    with pytest.raises(ConfigError, match="impute is 'median'"):
        audit_modalities("vbpr", small(), knockouts=[], impute="median")
    assert not trained


@pytest.mark.parametrize(("by_user", "by_seed"), [(1.0, 0.0), (0.3, 0.5), (1.0, 0.1)])
def test_bounds_hold_for_other_users_and_other_seeds(by_user, by_seed) -> None:
    """Gaps of no mean, varying by user, by seed and within: the bounds leave zero out in at most 5 % of 2,000 draws."""
    rng, outside = np.random.default_rng(0), 0
    for _ in range(2000):
        gaps = by_user * rng.normal(size=80) + by_seed * rng.normal(size=(3, 1)) + 0.3 * rng.normal(size=(3, 80))
        _, low, high = difference(gaps)
        outside += low > 0 or high < 0
    assert outside <= 0.05 * 2000 + 3 * np.sqrt(2000 * 0.05 * 0.95)


def test_verdicts() -> None:
    def found(low: float, high: float) -> ModalityAudit:
        finding = Finding("text", "permuted", 0.1, (low + high) / 2, low, high)
        return ModalityAudit("vbpr", "toy", "recall@20", "valid", (0, 1), 0.2, (finding,))

    assert found(0.1, 0.2).uses("text") is True and "uses text" in str(found(0.1, 0.2))
    assert found(-0.2, -0.1).uses("text") is False and "misled by text" in found(-0.2, -0.1).verdict("text")
    assert found(-0.1, 0.1).uses("text") is None and "no use of text" in found(-0.1, 0.1).verdict("text")
    with pytest.raises(DataError, match="no modality 'sound'; it has text"):
        found(0.1, 0.2).uses("sound")
    assert "real minus this" in found(0.1, 0.2).table().markdown()


def test_known_truth() -> None:
    """One modality tells the taste, the other is noise; experiments/modality_audit.py has a hundred such draws."""
    modalities = (("image", 16, 0.9), ("text", 16, 0.0))
    data = synthesize(SyntheticConfig(n_users=200, n_items=150, modalities=modalities)).dataset
    config = {"epochs": 10, "batch_size": 512, "learning_rate": 0.005}
    found = audit_modalities(Vbpr(embed_dim=8), data, knockouts=[], seeds=(0, 1, 2), quiet=True, **config)
    assert found.uses("image") is True and found.uses("text") is not True
    assert [(f.modality, f.how) for f in found.findings] == [("image", "permuted"), ("text", "permuted")]
