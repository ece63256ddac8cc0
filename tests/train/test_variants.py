"""The variants of MDVT's studies, each against sets of items that are chosen one user at a time in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open

import jmmrec
from jmmrec.errors import ConfigError
from jmmrec.losses import Variant, select, single_triplets, virtual_triplets
from jmmrec.losses.thresholds import lowest
from jmmrec.models import Vbpr
from jmmrec.train import TrainConfig, WarmupConfig, with_mdvt
from tests.train.test_mdvt import BATCH, REAL, USER, parts_of

TAU = 0.4


def similarity(user, item) -> np.ndarray:
    return (user / np.linalg.norm(user, axis=1)[:, None]) @ (item / np.linalg.norm(item, axis=1)[:, None]).T


def chosen(row, degree, n, variant) -> tuple[list[int], list[int]]:
    """Positives and negatives of one user, from its similarities."""
    near, far = np.argsort(-row, kind="stable"), np.argsort(row, kind="stable")
    if variant.choose == "frequent":
        seen = [i for i in np.argsort(degree, kind="stable") if degree[i] > 0]
        return list(np.argsort(-degree, kind="stable")[:n]), seen[:n]
    if variant.choose == "similar_frequent":
        near = sorted(near[: 2 * n], key=lambda i: -degree[i])
        far = sorted(far[: 2 * n], key=lambda i: degree[i])
    limit = n or len(row)
    positive, negative = list(near[:limit]), list(far[:limit])
    if variant.tau is None:
        return positive, negative
    positive = [i for rank, i in enumerate(positive) if rank < variant.n_min or row[i] >= variant.tau]
    if variant.negatives == "mirror_threshold":
        negative = [i for rank, i in enumerate(negative) if rank < variant.n_min or -row[i] >= variant.tau]
    elif variant.negatives == "mirror_count":
        negative = negative[: len(positive)]
    return positive, negative


def expected(user, item, degree, n, variant, rows=None) -> float:
    """Mean over users of -ln σ, of those that have virtual items."""
    losses = []
    table = similarity(user, item)
    for u in range(len(user)) if rows is None else rows:
        positive, negative = chosen(table[u], degree, n, variant)
        if not positive or not negative:
            continue
        best, worst = item[positive] @ user[u], item[negative] @ user[u]
        if variant.aggregate == "mean":
            losses.append(np.logaddexp(0.0, worst.mean() - best.mean()))
            continue
        pairs = min(len(best), len(worst))
        margins = best[:pairs] - worst[:pairs] if variant.pairing == "rank" else (best[:, None] - worst).ravel()
        each = np.logaddexp(0.0, -margins)
        losses.append(each.sum() if variant.inner == "sum" else each.mean())
    return float(np.mean(losses))


CASES = [
    ({}, 3),
    ({"aggregate": "none"}, 2),
    ({"aggregate": "none", "inner": "mean"}, 3),
    ({"aggregate": "none", "pairing": "cross"}, 2),
    ({"aggregate": "none", "pairing": "cross", "inner": "mean", "tau": TAU, "n_min": 1}, 3),
    ({"aggregate": "none", "tau": TAU}, 3),
    ({"choose": "frequent"}, 3),
    ({"choose": "similar_frequent"}, 2),
    ({"choose": "similar_frequent"}, 5),
    ({"tau": TAU}, 3),
    ({"tau": TAU, "n_min": 1}, 4),
    ({"tau": TAU, "n_min": 2, "negatives": "mirror_threshold"}, 3),
    ({"tau": TAU, "negatives": "mirror_threshold"}, 4),
    ({"tau": TAU, "negatives": "top_n"}, 2),
    ({"tau": TAU}, 0),
    ({"tau": TAU, "negatives": "mirror_threshold"}, 0),
    ({"tau": 0.99, "n_min": 2}, 2),
]
every_case = pytest.mark.parametrize(("options", "n"), CASES, ids=lambda o: str(o).replace("'", ""))


@every_case
@pytest.mark.parametrize("users", ["all", "batch"])
def test_variants_by_hand(dataset, options, n, users) -> None:
    variant = Variant(**options)
    user, item, total, parts = parts_of(dataset, n=n, users=users, variant=variant, memory=1 << 10)
    degree = np.bincount(dataset.train[:, 1], minlength=dataset.n_items)
    rows = USER[REAL] if users == "batch" else None
    virtual = expected(user, item, degree, n, variant, rows)
    np.testing.assert_allclose(parts["virtual"], virtual, rtol=2e-5)
    np.testing.assert_allclose(total, 0.7 * float(parts["model"]) + 0.3 * virtual, rtol=2e-5)


@pytest.mark.parametrize(("options", "n"), [case for case in CASES if case[1]], ids=str)
def test_stored_items_are_those_of_the_step(dataset, options, n) -> None:
    found = [parts_of(dataset, n=n, refresh=refresh, variant=options)[2] for refresh in ("batch", "epoch")]
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_without_scaling_the_model_s_loss_stays_whole(dataset) -> None:
    *_, total, parts = parts_of(dataset, variant={"scale": "add"})
    np.testing.assert_allclose(total, parts["model"] + 0.3 * parts["virtual"], rtol=1e-6)


def test_a_case_on_paper() -> None:
    """Cosines 1, .8, .6, 0, -1: at .7 two positives, so two negatives; as triplets and as means."""
    user = jnp.array([[2.0, 0.0]])
    item = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0], [-3.0, 0.0]])
    found = select(user, item, 4, Variant(tau=0.7))
    assert found.top[0, :2].tolist() == [0, 1] and found.bottom[0, :2].tolist() == [4, 3]
    assert found.keep_top.tolist() == found.keep_bottom.tolist() == [[True, True, False, False]]
    keep = {"keep_top": found.keep_top, "keep_bottom": found.keep_bottom}
    together = virtual_triplets(user, item, found.top, found.bottom, **keep)
    np.testing.assert_allclose(together, np.log1p(np.exp(-(1.8 + 3.0))), rtol=1e-5)  # (2 + 1.6)/2 - (-6 + 0)/2
    single = single_triplets(user, item, found.top, found.bottom, **keep)
    np.testing.assert_allclose(single, np.log1p(np.exp([-8.0, -1.6])).sum(), rtol=1e-5)
    nobody = select(user, item, 2, Variant(tau=1.0))._replace(keep_top=jnp.zeros((1, 2), bool))
    assert float(virtual_triplets(user, item, *nobody[:2], keep_top=nobody.keep_top)) == 0.0


@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_lowest_is_a_stable_sort(count) -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=(40, 7)), 1).astype(np.float32)  # full of ties
    found = np.asarray(lowest(jnp.asarray(scores), jnp.full(40, count)))
    order = np.argsort(scores, axis=1, kind="stable")[:, :count]
    assert [sorted(row) for row in order.tolist()] == [np.flatnonzero(row).tolist() for row in found]


@pytest.mark.parametrize(
    ("names", "joined"), [(("image",), "sum"), (("image", "text"), "sum"), (("id", "text"), "concat")]
)
def test_similarity_of_some_channels(dataset, names, joined) -> None:
    class Made(Vbpr):
        pass

    Made.joined = joined
    for space in ("fused", "subset"):
        variant = Variant(similarity=names, loss_space=space)
        model = with_mdvt(Made(embed_dim=4), n=2, active=True, variant=variant)
        static = model.prepare(dataset.for_training())
        params, state = model.init(jax.random.key(0), static)
        encoded = model.encode(params, state, static, (), train=True)
        parts = model.loss(params, encoded, BATCH, jax.random.key(0))[1]
        tables = [encoded.modal[name] for name in names]
        join = sum if joined == "sum" else (lambda side: np.concatenate(list(side), axis=1))
        near = [np.asarray(join([table[side] for table in tables]), np.float64) for side in (0, 1)]
        order = np.argsort(similarity(*near), axis=1)
        user, item = near if space == "subset" else [np.asarray(t, np.float64) for t in (encoded.user, encoded.item)]
        gap = item[order[:, -2:]].mean(axis=1) - item[order[:, :2]].mean(axis=1)
        np.testing.assert_allclose(parts["virtual"], np.logaddexp(0, -(gap * user).sum(axis=1)).mean(), rtol=1e-5)


def test_a_lone_channel_is_one_of_several() -> None:
    assert Variant(similarity="id").similarity == ("id",)  # pyright: ignore[reportArgumentType]


def test_a_channel_that_is_not_there(dataset) -> None:
    with pytest.raises(ConfigError, match="similarity names 'smell', but BprMf has tables of"):
        parts_of(dataset, variant=Variant(similarity=("smell",)))


@pytest.mark.parametrize("variant", [{"tau": TAU}, {"tau": TAU, "n_min": 1}, {"choose": "frequent"},
                                     {"aggregate": "none"}], ids=str)  # fmt: skip
def test_variants_train_and_are_read_back(dataset, variant, tmp_path) -> None:
    """The run's folder holds no mined items: evaluations do not read them."""
    for n, refresh in ((2, "epoch"), (0, "batch")):
        if n == 0 and set(variant) != {"tau"}:
            continue
        config = TrainConfig(epochs=6, batch_size=8, learning_rate=0.05, monitor="recall@5")
        options = {"n": n, "refresh": refresh, "variant": variant}
        result = jmmrec.fit(
            Vbpr(embed_dim=4), dataset, warmup=WarmupConfig("static", (0,)), mdvt=options, config=config,
            out=tmp_path / refresh, quiet=True,
        )  # fmt: skip
        losses = [record["parts"]["virtual"] for record in result.lanes[0].history]
        assert losses[-1] < losses[0] and np.isfinite(losses).all()
        again = jmmrec.open_run(tmp_path / refresh, dataset)
        assert again.model == result.model
        assert again.evaluate(split="valid", ks=(5,)).mean == result.evaluate(split="valid", ks=(5,)).mean
        with safe_open(tmp_path / refresh / "model.safetensors", "numpy") as file:
            assert not any("mined" in name for name in file.keys())  # noqa: SIM118


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": 0, "refresh": "epoch", "variant": {"tau": 0.5}}, "refresh='batch'"),
        ({"n": 0, "variant": {"tau": 0.5, "negatives": "top_n"}}, "mirror"),
        ({"n": 2, "variant": {"tau": 0.5, "n_min": 3}}, "n_min is 3"),
        ({"n": 0, "variant": {"tau": 0.5, "choose": "similar_frequent"}}, "similar_frequent"),
        ({"users": "batch", "item_pool": "batch", "variant": {"tau": 0.5}}, "item_pool='batch'"),
        ({"variant": {"n_min": 1}}, "give tau"),
        ({"variant": {"tau": 2.0}}, "tau is 2"),
        ({"variant": {"choose": "rare"}}, "choose is 'rare'"),
        ({"variant": {"aggregate": "max"}}, "aggregate is 'max'"),
        ({"variant": {"choose": "frequent", "tau": 0.5}}, "no similarity"),
        ({"variant": {"bogus": 1}}, "MDVT's variant has no option 'bogus'; it has aggregate, pairing"),
        ({"variant": "f1"}, "variant is 'f1'; give a Variant or its options"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(options, word) -> None:
    with pytest.raises(ConfigError, match=word):
        with_mdvt(Vbpr(), **options)
