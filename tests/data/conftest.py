"""A small folder of MMRec's layout, written anew for each test."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

# Three users, five items; user 2 has train items only and item 4 is cold.
ROWS = ("0\t0\t0", "0\t1\t0", "0\t2\t1", "0\t4\t2", "1\t1\t0", "1\t3\t0", "1\t0\t2", "2\t3\t0")


@pytest.fixture
def features() -> np.ndarray:
    """Features of the five items."""
    return np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


@pytest.fixture
def mmrec(tmp_path: pathlib.Path, features: np.ndarray) -> Callable[..., pathlib.Path]:
    """`mmrec()` writes a good folder; rows, header and arrays may be replaced or added."""

    def make(
        rows: list[str] | None = None, header: str = "userID\titemID\tx_label", **arrays: np.ndarray
    ) -> pathlib.Path:
        folder = tmp_path / "toy"
        folder.mkdir()
        lines = [header, *(ROWS if rows is None else rows)]
        (folder / "toy.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name, array in {"image_feat": features, **arrays}.items():
            np.save(folder / f"{name}.npy", array)
        return folder

    return make
