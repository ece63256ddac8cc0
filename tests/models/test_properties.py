"""What every registered backbone owes, alone and with virtual triplets; a new one is tested by being registered."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality
from jmmrec.errors import ConfigError, DataError
from jmmrec.models import MODELS, Batch, make, name_of
from jmmrec.train import TrainConfig, trainer, with_mdvt

USERS, ITEMS = 13, 11  # different from every width below, so that tables can be told apart
SMALL = {"embed_dim": 4, "knn_k": 3, "eval_gumbel": "off", "n_clusters": 3, "warmup": 0}
# A plan is exp(-cost/ε): with a small ε rounding shows in the fifth digit.
OWN = {"ci2mg": {"ot": {"sinkhorn": {"epsilon": 0.5}, "eval_iterations": 100}, "hyper": {"n_prototypes": 3}}}
# Virtual triplets read nothing but the tables: a plain model and one with draws stand for all;
# test_combinations.py wraps every model.
CASES = [(name, False) for name in MODELS] + [(name, True) for name in ("lightgcn", "lgmrec")]
every_case = pytest.mark.parametrize(("name", "virtual"), CASES, ids=[f"{n}{'+mdvt' if v else ''}" for n, v in CASES])
every_model = pytest.mark.parametrize("name", MODELS)


def build(name: str, virtual: bool = False, **options):
    known = {f.name for f in dataclasses.fields(MODELS[name])}
    model = make(name, **{k: v for k, v in (SMALL | OWN.get(name, {}) | options).items() if k in known})
    return with_mdvt(model, n=2, active=True) if virtual else model


def data(awkward: bool = False) -> Dataset:
    """Item 10 is cold, items lack the one or the other modality. Awkward: user 12 has one item, zero feature rows."""
    rng = np.random.default_rng(0)
    train = [(u, i) for u in range(USERS) for i in rng.permutation(10)[: 1 if awkward and u == 12 else 3]]
    taken = set(train)
    valid = [next((u, i) for i in range(10) if (u, i) not in taken) for u in range(USERS)]
    image, text = rng.normal(size=(ITEMS, 5)), rng.normal(size=(ITEMS, 3))
    if awkward:
        image[[0, 10]] = 0.0
    seen, read = (np.isin(np.arange(ITEMS), lacking, invert=True) for lacking in ((4, 7), (1, 10)))
    modalities = {"image": Modality(image, seen), "text": Modality(text, read)}
    return Dataset(USERS, ITEMS, np.array(train), np.array(valid), np.zeros((0, 2)), modalities)


def batch_of(dataset: Dataset, size: int = 7) -> Batch:
    user, item = (jnp.asarray(a) for a in dataset.train[:: len(dataset.train) // size][:size].T)
    return Batch(user, item, (item + 4) % ITEMS, jnp.ones(len(user), bool), jnp.int32(0))


def prepared(model, dataset: Dataset):
    static = model.prepare(dataset.for_training())
    return static, *model.init(jax.random.key(0), static)


def evaluated(model, static, params, state, batch):
    """Evaluation tables, and the loss on them."""
    encoded = model.encode(params, state, static, None, train=False)
    if hasattr(model, "backbone"):
        model = model.backbone
    return encoded.user, encoded.item, model.loss(params, encoded, batch, jax.random.key(1))


def close(first, second, tolerance: float = 1e-5) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), first, second)


def training_loss(model, static, state):
    """The training loss and its parts as a function of the parameters and a batch, at a fixed key."""
    key = jax.random.key(3)

    def loss(params, batch):
        inner, aux = model.epoch(params, state, static, key)
        encoded = model.encode(params, inner, static, aux, key=key, train=True)
        return model.loss(params, encoded, batch, key)

    return loss


@every_case
def test_neither_jit_nor_padding_change_a_loss_whose_gradients_survive_awkward_data(name, virtual) -> None:
    model, dataset = build(name, virtual), data(awkward=True)
    static, params, state = prepared(model, dataset)
    loss, batch = training_loss(model, static, state), batch_of(dataset)
    compiled = jax.jit(jax.value_and_grad(loss, has_aux=True))
    found = compiled(params, batch)
    close(found[0], loss(params, batch))
    padded = compiled(params, Batch(*(jnp.pad(a, (0, 4)) for a in batch[:4]), batch.step))
    close(found, padded, 1e-6)
    nobody = compiled(params, batch._replace(mask=jnp.zeros(len(batch.mask), bool)))
    assert float(nobody[0][1]["bpr"]) == 0.0
    at_zero = compiled(jax.tree.map(jnp.zeros_like, params), batch)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((found, nobody, at_zero)))


@every_model
def test_permuting_users_and_items_permutes_the_result(name) -> None:
    model, dataset = build(name), data()
    static, params, state = prepared(model, dataset)
    rng = np.random.default_rng(5)
    new = {USERS: rng.permutation(USERS), ITEMS: rng.permutation(ITEMS)}

    def moved(table):
        order = new.get(np.shape(table)[0] if np.ndim(table) else None)
        return table if order is None else jnp.asarray(table)[np.argsort(order)]

    rows = [np.stack([new[USERS][s[:, 0]], new[ITEMS][s[:, 1]]], axis=1) for s in (dataset.train, dataset.valid)]
    modalities = {
        n: Modality(*(np.asarray(moved(a)) for a in (m.features, m.present))) for n, m in dataset.modalities.items()
    }
    other = Dataset(USERS, ITEMS, *rows, np.zeros((0, 2)), modalities)
    batch = batch_of(dataset)
    renamed = Batch(new[USERS][batch.user], new[ITEMS][batch.positive], new[ITEMS][batch.negative], *batch[3:])
    first = evaluated(model, static, params, state, batch)
    static = prepared(model, other)[0]
    second = evaluated(model, static, jax.tree.map(moved, params), jax.tree.map(moved, state), renamed)
    close((moved(first[0]), moved(first[1]), first[2]), second)


@every_model
def test_order_of_modalities_does_not_matter(name) -> None:
    model, dataset = build(name), data()
    turned = dataset.select("text", "image")
    results = [evaluated(model, *prepared(model, d), batch_of(d)) for d in (dataset, turned)]
    close(*results, 1e-6)


def fast(**options) -> TrainConfig:
    return TrainConfig(batch_size=16, patience=50, monitor="recall@5", **options)


@functools.cache
def counted(name: str):
    """A trainer, and a list that grows with each trace; the tests of a model share its programs."""
    traces = []

    class Counting(MODELS[name]):
        def encode(self, *args, train, **options):
            traces.append(train)
            return super().encode(*args, train=train, **options)

    model = Counting(**dataclasses.asdict(build(name)))
    return trainer(model, data().for_training(), fast(learning_rate=0.02)), traces


@every_model
def test_training_is_traced_once_lowers_the_loss_and_repeats_itself(name) -> None:
    t, traces = counted(name)
    traces.clear()
    t.advance([t.start(1)])
    assert len(traces) == len(set(traces))  # training and evaluation once, or not where a test has left the programs
    traces.clear()
    runs = []
    for _ in range(2):
        lane = t.start(0)
        for _ in range(8):
            lane = t.advance([lane])[0]
        runs.append(lane)
    dataclasses.replace(t, config=fast(learning_rate=0.01, epochs=9)).advance([t.start(1)])
    assert not traces
    losses = [record["loss"] for record in runs[0].history]
    assert losses[-1] < losses[0]
    assert runs[0].history == runs[1].history
    jax.tree.map(np.testing.assert_array_equal, runs[0].train.params, runs[1].train.params)


@pytest.mark.parametrize(("name", "virtual"), [*((name, False) for name in MODELS), ("lightgcn", True)])
def test_seeds_together_are_seeds_alone(name, virtual) -> None:
    t = trainer(build(name, virtual), data().for_training(), fast()) if virtual else counted(name)[0]
    t = dataclasses.replace(t, config=fast())
    together = [t.start(seed) for seed in range(3)]
    alone = [t.start(seed) for seed in range(3)]
    for _ in range(2):
        together = t.advance(together)
        alone = [t.advance([lane])[0] for lane in alone]
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_allclose(first.history[-1]["loss"], second.history[-1]["loss"], rtol=1e-5)
        # Adam turns rounding noise in zero gradients into steps of up to the learning rate.
        close(first.train.params, second.train.params, 5e-3)


@every_model
def test_models_are_values(name) -> None:
    assert build(name) == build(name) and hash(build(name)) == hash(build(name))
    assert build(name, embed_dim=5) != build(name)
    assert name_of(build(name)) == name
    with pytest.raises(ConfigError, match=f"{name} has no option 'depth'; it has"):
        make(name, depth=3)
    with pytest.raises(ConfigError, match="embed_dim is 0"):
        make(name, embed_dim=0)


@every_model
def test_whole_numbers_are_whole(name) -> None:
    for field in dataclasses.fields(MODELS[name]):
        if type(field.default) is int:
            with pytest.raises(ConfigError, match=f"{field.name} is 2.5; it must be a whole number"):
                MODELS[name](**{field.name: 2.5})


@pytest.mark.parametrize("name", ["freedom", "dragon", "mmgcl"])
def test_weights_of_modalities_may_be_a_mapping(name) -> None:
    given = {"image": 0.1, "text": 0.9}
    assert hash(make(name, modal_weights=given)) == hash(make(name, modal_weights=tuple(given.items())))
    with pytest.raises(ConfigError, match="modal_weights of image is -1"):
        make(name, modal_weights={"image": -1.0, "text": 1.0})
    for given in (3, "image"):
        with pytest.raises(ConfigError, match=f"modal_weights is {given!r}; give a weight for each name"):
            make(name, modal_weights=given)


@pytest.mark.parametrize("name", ["vbpr", "freedom"])
def test_features_can_be_replaced(name) -> None:
    model, dataset = build(name), data()
    static, params, state = prepared(model, dataset)
    aux = model.epoch(params, state, static, jax.random.key(0))[1]

    def image_table(features):
        return model.encode(params, state, static, aux, features=features, train=True).modal["image"][1]

    feature = static["features"]["image"]
    np.testing.assert_array_equal(image_table(None), image_table({"image": feature}))
    assert not np.allclose(image_table(None), image_table({"image": 2 * feature}))


def test_content_models_need_content() -> None:
    bare = dataclasses.replace(data(), modalities={})
    for name in ("vbpr", "freedom"):
        with pytest.raises(DataError, match="has no modality; use an id-only model"):
            build(name).prepare(bare.for_training())


def test_item_bias_is_added_to_scores() -> None:
    model, dataset = make("bpr", embed_dim=4, item_bias=True), data()
    static, params, state = prepared(model, dataset)
    params["bias"] = jnp.arange(float(ITEMS))[:, None]
    encoded = model.encode(params, state, static, None, train=False)
    expected = params["user"] @ params["item"].T + jnp.arange(float(ITEMS))
    np.testing.assert_allclose(encoded.user @ encoded.item.T, expected, rtol=1e-5, atol=1e-6)


def test_dropped_edges_are_scaled_up() -> None:
    model, dataset = make("lightgcn", embed_dim=4, edge_dropout=0.5), data()
    static, params, state = prepared(model, dataset)
    tables = jax.vmap(lambda k: model.encode(params, state, static, (), key=k, train=True).user)(
        jax.random.split(jax.random.key(0), 400)
    )
    layer_by_hand = make("lightgcn", embed_dim=4, n_layers=1, edge_dropout=0.5)
    one = jax.vmap(lambda k: layer_by_hand.encode(params, state, static, (), key=k, train=True).user)(
        jax.random.split(jax.random.key(0), 2000)
    )
    whole = layer_by_hand.encode(params, state, static, (), train=False).user
    np.testing.assert_allclose(one.mean(axis=0), whole, atol=0.02)
    assert np.asarray(tables).std(axis=0).max() > 0.01
