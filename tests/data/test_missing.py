"""Masks: exact counts, nesting, what they do to a data set, files, and what a run remembers of them."""

import dataclasses
import itertools
import pathlib

import numpy as np
import pytest

from jmmrec.data import (
    PROTOCOLS,
    Dataset,
    Modality,
    describe,
    draw_mask,
    hide,
    impute,
    item_groups,
    load,
    mask_of,
    read_mask,
    replay,
    save,
    save_mask,
    shares,
    with_mask,
    with_missing,
)
from jmmrec.data.knockout import knock_out
from jmmrec.data.missing import popularity_strata
from jmmrec.errors import ConfigError, DataError

TWO, THREE = ("image", "text"), ("audio", "image", "text")
N = 20_000
# Share of entries missing and of items that lose everything at rate .9, for two and three modalities.
SHARES = {
    "item_subset": ((0.45, 0.0), (0.45, 0.0)),
    "item_one": ((0.45, 0.0), (0.30, 0.0)),
    "item_pattern": ((0.675, 0.45), (0.60, 0.30)),
    "entry_bernoulli": ((0.90, 0.81), (0.90, 0.729)),
    "per_modality": ((0.90, 0.81), (0.90, 0.729)),
    "same_items": ((0.90, 0.90), (0.90, 0.90)),
}
every_protocol = pytest.mark.parametrize("protocol", [*PROTOCOLS, "single:text"])


def data(names: tuple[str, ...] = TWO, n_items: int = 40, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    train = [(u, i) for u in range(10) for i in rng.permutation(n_items - 2)[:6]]
    found = {name: Modality(rng.normal(size=(n_items, 3))) for name in names}
    return Dataset(10, n_items, np.array(train), np.zeros((0, 2)), np.zeros((0, 2)), found, name="toy")


def highest(protocol: str, modalities: int) -> float:
    return (modalities - 1) / modalities if protocol == "entry_protected" else 0.9


@pytest.mark.parametrize("protocol", SHARES)
@pytest.mark.parametrize("names", [TWO, THREE], ids=len)
def test_shares_at_ninety_per_cent(protocol, names) -> None:
    entries, nothing = SHARES[protocol][len(names) - 2]
    observed = draw_mask(N, names, 0.9, protocol)
    assert 1 - observed.mean() == pytest.approx(entries, abs=0.005)
    assert (~observed.any(axis=1)).mean() == pytest.approx(nothing, abs=0.01)


@pytest.mark.parametrize(("names", "entries"), [(TWO, 0.495), (THREE, 0.657)])
def test_shares_where_one_is_kept(names, entries) -> None:
    for protocol in ("per_modality", "entry_bernoulli"):
        observed = draw_mask(N, names, 0.9, protocol, keep_one=True)
        assert observed.any(axis=1).all()
        assert 1 - observed.mean() == pytest.approx(entries, abs=0.007)
        assert np.ptp(observed.mean(axis=0)) < 0.02  # what is given back is a uniform choice


@pytest.mark.parametrize("names", [TWO, THREE], ids=len)
@pytest.mark.parametrize("rate", [0.0, 0.29, 0.5, 1.0])
def test_exact_counts(names, rate) -> None:
    """Of 100 items; 0.29 x 100 is 29, whatever floating point says."""
    n, count, m = 100, round(100 * rate), len(names)
    lost = {p: ~draw_mask(n, names, rate, p, seed=3) for p in (*PROTOCOLS, "single:text") if p != "entry_protected"}
    for protocol in ("item_subset", "item_one", "item_pattern", "same_items", "single:text"):
        assert lost[protocol].any(axis=1).sum() == count
    assert set(lost["item_subset"].sum(axis=1)) <= set(range(m))
    assert lost["item_one"].sum() == lost["single:text"].sum() == count
    assert lost["single:text"][:, names.index("text")].sum() == count
    assert lost["same_items"].sum() == count * m
    assert lost["per_modality"].sum(axis=0).tolist() == [count] * m
    patterns = np.unique(lost["item_pattern"][lost["item_pattern"].any(axis=1)], axis=0, return_counts=True)
    period = 2**m - 2 + m
    for pattern, seen in zip(*patterns, strict=True):
        assert abs(seen - count / period * (m if pattern.all() else 1)) < m
    limited = min(rate, (m - 1) / m)
    protected = ~draw_mask(n, names, limited, "entry_protected", seed=3)
    assert protected.sum() == int(limited * n * m + 1e-9) and not protected.all(axis=1).any()


def test_two_modalities_lose_a_subset_by_losing_one() -> None:
    np.testing.assert_array_equal(draw_mask(99, TWO, 0.7, "item_subset"), draw_mask(99, TWO, 0.7, "item_one"))


@every_protocol
@pytest.mark.parametrize("names", [TWO, THREE], ids=len)
def test_larger_rates_hide_more_and_never_less(protocol, names) -> None:
    rates = np.linspace(0, highest(protocol, len(names)), 12)
    kept = [False, True] if protocol in ("per_modality", "entry_bernoulli") else [False]
    labels = [None] if protocol.startswith("entry_") else [None, np.arange(200) % 3]
    for options in ({"keep_one": k, "strata": s} for k in kept for s in labels):
        masks = [draw_mask(200, names, rate, protocol, seed=1, **options) for rate in rates]
        for more, fewer in itertools.pairwise(masks):
            assert not (fewer & ~more).any()
            assert fewer.sum() < more.sum()


@every_protocol
def test_draws_depend_on_seed_and_names_alone(protocol) -> None:
    rate, turned = highest(protocol, 3) / 2, ("text", "audio", "image")
    first = draw_mask(300, THREE, rate, protocol, seed=5)
    np.testing.assert_array_equal(first, draw_mask(300, THREE, rate, protocol, seed=5))
    np.testing.assert_array_equal(first[:, [2, 0, 1]], draw_mask(300, turned, rate, protocol, seed=5))
    assert (first != draw_mask(300, THREE, rate, protocol, seed=6)).any()


def test_subsets_are_uniform() -> None:
    observed = draw_mask(N, THREE, 1.0)
    _, counts = np.unique(observed, axis=0, return_counts=True)
    assert len(counts) == 6 and np.ptp(counts) < 0.05 * N


def test_strata_lose_the_same_share() -> None:
    strata = np.repeat([0, 1], [900, 100])
    lost = ~draw_mask(1000, TWO, 0.4, "item_pattern", strata=strata)
    assert [lost[strata == s].any(axis=1).sum() for s in (0, 1)] == [360, 40]
    assert lost[strata == 1].all(axis=1).sum() == 20
    toy = data()
    strata = popularity_strata(toy)
    degree = np.bincount(toy.train[:, 1], minlength=40)
    assert degree[strata == 2].min() >= degree[strata == 1].max() and (degree[strata == 0] == 0).all()
    by_share = with_missing(toy, 0.5, strata="popularity")
    lost = item_groups(by_share) > 0
    assert all(abs(lost[strata == s].sum() - (strata == s).sum() / 2) <= 1 for s in range(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 1.5}, "missing rate is 1.5; it must lie in"),
        ({"rate": float("nan")}, "missing rate is nan"),
        ({"seed": -1}, "missing seed is -1"),
        ({"protocol": "random"}, "missing protocol is 'random'; choose one of 'item_subset'"),
        ({"protocol": "single:smell"}, "single:NAME is 'smell'; choose one of 'image', 'text'"),
        ({"protocol": "single"}, "single:NAME is ''"),
        ({"protocol": "entry_protected", "rate": 0.6}, "at most 0.5 of the entries can be hidden"),
        ({"keep_one": True}, "keep_one belongs to entry_bernoulli and per_modality"),
        ({"protocol": "entry_bernoulli", "strata": np.zeros(9, int)}, "counts no items, so strata change nothing"),
        ({"names": ("text",)}, "there is only 1; use same_items or per_modality"),
    ],
)
def test_errors(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_mask(10, **{"names": TWO, "rate": 0.5} | options)


def test_hidden_rows_are_gone_with_their_neighbours() -> None:
    toy = data()
    near = np.tile(np.arange(2), (40, 1))
    image = Modality(toy.modalities["image"].features, neighbours=near)
    text = Modality(toy.modalities["text"].features, np.arange(40) > 0, neighbours=near)
    toy = dataclasses.replace(toy, modalities={"image": image, "text": text})
    masked = with_missing(toy, 0.5, "single:text", seed=2)
    lost = ~masked.modalities["text"].present
    assert lost[0], "what was missing before stays missing"
    assert lost.sum() in (20, 21) and not masked.modalities["text"].features[lost].any()
    assert masked.modalities["text"].neighbours is None
    assert masked.modalities["image"] is image, "a modality that loses nothing keeps its neighbours"
    assert with_missing(toy, 0.0).digest == toy.digest != masked.digest
    assert {**masked.steps[0], "digest": ""} == {
        "do": "draw", "rate": 0.5, "protocol": "single:text", "seed": 2, "keep_one": False, "strata": "none",
        "digest": "",
    }  # fmt: skip
    assert [m.missing for m in describe(masked).modalities] == [0, int(lost.sum())]


def test_data_without_modalities_and_masks_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="toy has no modality to hide"):
        with_missing(data(names=()), 0.5)
    with pytest.raises(DataError, match=r"the mask has shape \(40, 1\)"):
        hide(data(), np.ones((40, 1), bool))
    with pytest.raises(DataError, match="hide first, then impute"):
        with_missing(impute(with_missing(data(), 0.5)), 0.2)
    with pytest.raises(ConfigError, match="strata is 'age'"):
        with_missing(data(), 0.5, strata="age")


def test_groups_and_shares() -> None:
    observed = np.array([[True, True], [True, False], [False, False], [True, True]])
    toy = Dataset(2, 4, [[0, 0], [1, 1]], [], [], {name: Modality(np.eye(4)) for name in TWO})  # pyright: ignore
    masked = hide(toy, observed)
    assert item_groups(masked).tolist() == item_groups(impute(masked)).tolist() == [0, 1, 2, 0]
    np.testing.assert_array_equal(mask_of(masked), observed)
    found = shares(masked)
    assert dict(found.groups) == {"complete": 2, "partly missing": 1, "all missing": 1}
    assert dict(found.modalities) == {"image": 0.25, "text": 0.5} and found.entries == 0.375
    assert "items all missing     1 (25.0 %)" in str(found)


def test_masks_come_back_from_files(tmp_path: pathlib.Path) -> None:
    toy = data(THREE)
    observed = draw_mask(40, THREE, 0.8)
    path = save_mask(tmp_path / "mask.npz", observed, toy)
    np.testing.assert_array_equal(read_mask(path, toy), observed)
    np.testing.assert_array_equal(read_mask(path, toy.select("text", "audio")), observed[:, [2, 0]])
    assert with_mask(toy, path).digest == with_missing(toy, 0.8).digest
    other = dataclasses.replace(toy, item_ids=np.arange(40)[::-1])
    with pytest.raises(DataError, match="was made for other items than those of toy"):
        read_mask(path, other)
    with pytest.raises(DataError, match="has no mask for smell; it has audio, image, text"):
        read_mask(path, dataclasses.replace(toy, modalities={"smell": Modality(np.eye(40))}))
    with pytest.raises(DataError, match="a mask is written as"):
        save_mask(tmp_path / "mask.npy", observed, toy)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="is damaged or no mask"):
        read_mask(path, toy)
    with pytest.raises(DataError, match="does not exist"):
        read_mask(tmp_path / "none.npz", toy)


def table(path: pathlib.Path, head: str, *rows: str) -> pathlib.Path:
    path.write_text("\n".join(["itemID " + head, *rows]).replace(" ", "\t") + "\n")
    return path


def test_published_tables(tmp_path: pathlib.Path) -> None:
    toy = Dataset(2, 4, [[0, 0], [1, 1]], [], [], {name: Modality(np.eye(4)) for name in TWO})  # pyright: ignore
    path = table(tmp_path / "m.tsv", "t v a tv all", "1 1 0 0 0 0", "0 0 1 0 0 0", "3 0 0 1 0 0", "2 0 0 0 1 0")
    assert read_mask(path, toy).tolist() == [[False, True], [True, False], [False, False], [True, True]]
    path.write_text(path.read_text().replace("itemID", "item_id:token"))
    assert not read_mask(path, toy)[2].any()
    path = table(tmp_path / "m.tsv", "image image+text", "0 1 0", "1 0 1", "2 0 0", "3 0 0")
    assert read_mask(path, toy).tolist() == [[False, True], [False, False], [True, True], [True, True]]
    short = Dataset(2, 2, [[0, 0], [1, 1]], [], [], {name: Modality(np.eye(2)) for name in ("t", "v")})
    path = table(tmp_path / "m.tsv", "t v tv", "0 1 0 0", "1 0 0 1")
    assert read_mask(path, short).tolist() == [[False, True], [False, False]]
    for head, rows, message in (
        ("x", ("0 1", "1 1", "2 0", "3 0"), "has a column 'x'"),
        ("t", ("0 1", "1 1"), "names 2 items, 0 for one; a mask needs one line for each of the 4 of unnamed"),
        ("t", ("0 1", "1 1", "1 1", "2 1"), "names 4 items, 0 for one"),
        ("t", ("0 2", "1 1", "2 0", "3 0"), "has 2 in column t"),
        ("a", ("0 1", "1 1", "2 0", "3 0"), "names no modality of unnamed, which has image, text"),
    ):
        with pytest.raises(DataError, match=message):
            read_mask(table(tmp_path / "m.tsv", head, *rows), toy)


def test_a_table_may_name_a_shops_own_items(tmp_path: pathlib.Path) -> None:
    names = np.array(["shoe", "hat", "1", "0"])
    toy = Dataset(2, 4, [[0, 0], [1, 1]], [], [], {n: Modality(np.eye(4)) for n in TWO}, item_ids=names)  # pyright: ignore
    path = table(tmp_path / "m.tsv", "t v", "hat 1 0", "0 0 1", "shoe 0 0", "1 0 0")
    assert read_mask(path, toy).tolist() == [[True, True], [True, False], [True, True], [False, True]]
    rows = ("0 1 0", "1 0 1", "2 0 0", "3 0 0")
    by_row, by_id = ([[True, False], [False, True], [True, True], [True, True]][::step] for step in (1, -1))
    assert read_mask(table(tmp_path / "m.tsv", "t v", *rows), toy).tolist() == by_row
    turned = dataclasses.replace(toy, item_ids=np.arange(4)[::-1])
    path = table(tmp_path / "m.tsv", "t v", *rows)
    with pytest.raises(
        DataError, match="may be rows or original ids, which are other items; call its first column row"
    ):
        read_mask(path, turned)
    for name, expected in (("row", by_row), ("original_id", by_id)):
        path.write_text(path.read_text().replace(path.read_text().split("\t")[0], name, 1))
        assert read_mask(path, turned).tolist() == expected
    with pytest.raises(DataError, match=r"by original id \(such as shoe, hat, 1\) or by row number from 0"):
        read_mask(table(tmp_path / "m.tsv", "t", "hat 1", "x 1", "1 1", "0 1"), toy)


def test_steps_give_the_same_data_again(tmp_path: pathlib.Path) -> None:
    folder = save(data(THREE), tmp_path / "toy")
    toy = load(folder)
    save_mask(tmp_path / "mask.npz", draw_mask(40, THREE, 0.3, seed=7), toy)
    made = impute(with_missing(with_mask(toy, tmp_path / "mask.npz"), 0.5).select("text", "image"), "random", seed=4)
    assert [step["do"] for step in made.steps] == ["mask", "draw", "select", "impute"]
    again = replay(load(**made.source), made.steps)
    assert again.digest == made.digest and again.steps == made.steps
    knocked = knock_out(with_missing(toy, 0.5), "text", "permuted", seed=2)
    assert replay(toy, knocked.steps).digest == knocked.digest
    save_mask(tmp_path / "mask.npz", draw_mask(40, THREE, 0.3, seed=8), toy)
    with pytest.raises(DataError, match=r"mask.npz is not the one that is recorded"):
        replay(load(**made.source), made.steps)
    with pytest.raises(DataError, match="hidden by a mask made in memory"):
        replay(toy, hide(toy, np.ones((40, 3), bool)).steps)


def test_imputed_marks_are_saved(tmp_path: pathlib.Path) -> None:
    made = impute(with_missing(data(), 0.5))
    back = load(save(made, tmp_path / "toy"))
    assert back.digest == made.digest and item_groups(back).tolist() == item_groups(made).tolist()
    with pytest.raises(DataError, match="imputed has shape"):
        Modality(np.eye(2), np.array([True, False]), imputed=np.array([False, True]))
