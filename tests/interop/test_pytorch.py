"""Names of the PyTorch toolbox: there and back, and every way in which a state dict can be wrong."""

import dataclasses

import jax
import numpy as np
import pytest

from jmmrec.data import Dataset, Modality
from jmmrec.errors import CheckpointError, ConfigError
from jmmrec.interop.pytorch import TABLE, dump_params, load_npz, load_params
from jmmrec.models import BprMf, Freedom, LightGcn, Vbpr
from jmmrec.train import with_mdvt

MODELS = [BprMf(embed_dim=4), Vbpr(embed_dim=4), LightGcn(embed_dim=4), Freedom(embed_dim=4, knn_k=2)]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    modalities = {"image": Modality(rng.normal(size=(6, 5))), "text": Modality(rng.normal(size=(6, 3)))}
    return Dataset(3, 6, np.array([[0, 0], [1, 1], [2, 3]]), np.array([[0, 1]]), np.array([[1, 2]]), modalities)


def start(model, dataset):
    static = model.prepare(dataset.for_training())
    return static, model.init(jax.random.key(0), static)[0]


@every_model
def test_there_and_back(model, dataset) -> None:
    for wrapped in (model, with_mdvt(model)):
        static, params = start(wrapped, dataset)
        back = load_params(wrapped, dump_params(wrapped, params), static)
        jax.tree.map(np.testing.assert_array_equal, back, params)


def test_columns_stand_text_first(dataset) -> None:
    model = MODELS[1]
    params = start(model, dataset)[1]
    matrix = dump_params(model, params)["item_linear.weight"]
    np.testing.assert_array_equal(matrix, np.concatenate([params["weight"]["text"], params["weight"]["image"]], axis=1))
    image_first = {"image": "image", "text": "text"}
    assert not np.array_equal(dump_params(model, params, image_first)["item_linear.weight"], matrix)


def test_another_modality_in_the_place_of_text(dataset) -> None:
    sound = dataclasses.replace(
        dataset, modalities={"audio": dataset.modalities["text"], "image": dataset.modalities["image"]}
    )
    model = MODELS[3]
    static, params = start(model, sound)
    names = {"text": "audio", "image": "image"}
    arrays = dump_params(model, params, names)
    assert "text_trs.weight" in arrays and not any("audio" in name for name in arrays)
    jax.tree.map(np.testing.assert_array_equal, load_params(model, arrays, static, names), params)
    with pytest.raises(ConfigError, match=r"has nothing for features/audio.*modalities=\{theirs: ours\}"):
        load_params(model, arrays, static)


@every_model
def test_missing_left_over_and_wrong_shapes(model, dataset) -> None:
    static, params = start(model, dataset)
    arrays = dump_params(model, params)
    for name in arrays:
        with pytest.raises(CheckpointError, match=rf"the state dict lacks {name}, which"):
            load_params(model, {k: v for k, v in arrays.items() if k != name}, static)
        with pytest.raises(CheckpointError, match=rf"{name} has shape \(.*\) but \(.*\) is needed"):
            load_params(model, arrays | {name: arrays[name][..., :-1]}, static)
    with pytest.raises(CheckpointError, match=r"has no place for extra\.weight; choose the options"):
        load_params(model, arrays | {"extra.weight": np.zeros(1)}, static)


def test_options_that_the_toolbox_lacks(dataset) -> None:
    model = BprMf(embed_dim=4, item_bias=True)
    static, params = start(model, dataset)
    arrays = dump_params(MODELS[0], start(MODELS[0], dataset)[1])
    with pytest.raises(ConfigError, match="has nothing for bias of bpr"):
        load_params(model, arrays, static)
    with pytest.raises(ConfigError, match="has nothing for bias of bpr"):
        dump_params(model, params)
    trained = dump_params(MODELS[3], start(MODELS[3], dataset)[1])
    fixed = dataclasses.replace(MODELS[3], train_raw_feats=False)
    with pytest.raises(CheckpointError, match=r"no place for image_embedding\.weight, text_embedding\.weight"):
        load_params(fixed, trained, start(fixed, dataset)[0])


def test_unknown_model(dataset) -> None:
    class Mine(LightGcn):
        pass

    with pytest.raises(ConfigError, match="no names of the PyTorch toolbox are known for Mine; there are bm3, bpr"):
        load_params(Mine(embed_dim=4), {}, Mine(embed_dim=4).prepare(dataset.for_training()))


def test_npz_files(tmp_path) -> None:
    path = tmp_path / "state.npz"
    np.savez(path, **{"param/a.weight": np.ones(2), "eval/b": np.zeros(1)})
    assert list(load_npz(path, "param/")) == ["a.weight"]
    with pytest.raises(CheckpointError, match="holds no array whose name starts with 'state/'"):
        load_npz(path, "state/")
    (tmp_path / "not.npz").write_text("text")
    for wrong in (tmp_path / "not.npz", tmp_path / "absent.npz"):
        with pytest.raises(CheckpointError, match=r"cannot be read as an \.npz file"):
            load_npz(wrong)


def test_every_table_is_of_a_model_with_defaults() -> None:
    assert all(cls() == cls() for cls in TABLE)
