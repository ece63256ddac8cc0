"""The modality audit from the command line: how data are hidden and filled, and what model is trained in which way."""

import dataclasses
import types

import numpy as np
import pytest

from jmmrec.cli import main
from jmmrec.models import Freedom, Vbpr
from jmmrec.train import TrainConfig

AUDIT = ("data", "audit-modalities", "tiny", "--quiet", "--seeds", "0:2", "--ways", "permuted")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What an audit would train: (model, data, config); nothing is trained, every user gets another number."""
    seen: list[tuple] = []

    def _fit(model, data, *, seeds, config, quiet):
        seen.append((model, data, config))
        per_user = {"recall@20": np.random.default_rng(len(seen)).random((1, 30))}
        return types.SimpleNamespace(evaluate=lambda **asked: types.SimpleNamespace(per_user=per_user))

    monkeypatch.setattr("jmmrec.knockout.fit", _fit)
    return seen


def test_options_of_training_and_of_the_model(place, fits) -> None:
    asked = ("--model=vbpr", "--model.reg", "0.01", "--batch-size", "64", "--learning-rate", "0.005", "--epochs", "3")
    assert main([*AUDIT, *asked]) == 0
    model, _, config = fits[0]
    assert model == Vbpr(reg=0.01)
    assert config == TrainConfig.of(model, batch_size=64, learning_rate=0.005, epochs=3)


def test_without_options_a_model_is_trained_as_its_authors_do(place, fits) -> None:
    assert main([*AUDIT, "--knock-out", "text"]) == 0
    assert main([*AUDIT, "--model", "ci2mg"]) == 0
    assert fits[0][::2] == (Freedom(), TrainConfig.of(Freedom()))
    assert fits[-1][2] == TrainConfig(learning_rate=5e-4, batch_size=1024, decay=0.96)


def test_hidden_rows_are_filled_after_the_knock_out(place, fits, capsys) -> None:
    hide = ("--missing-rate", "0.9", "--missing-protocol", "per_modality", "--missing-seed", "3", "--impute", "mean")
    assert main([*AUDIT, "--knock-out", "image", *hide, "--out", "table.csv"]) == 0
    steps = [[step["do"] for step in data.steps] for _, data, _ in fits]
    assert steps == [["draw", "impute"]] * 2 + [["draw", "knock out", "impute"]] * 2
    said = " ".join(capsys.readouterr().out.split())
    assert "freedom on tiny, 90 % missing (per_modality, seed 3), imputed by mean: valid recall@20, 2 seeds" in said
    assert (place / "table.csv").exists()


def test_hiding_without_filling(place, fits) -> None:
    assert main([*AUDIT, "--missing-rate", "0.5"]) == 0
    assert not any(m.present.all() for m in fits[0][1].modalities.values())
    assert dataclasses.asdict(fits[0][2]) == dataclasses.asdict(TrainConfig.of(Freedom()))
