"""Real folders give the numbers that their own descriptions print."""

import pathlib
from collections.abc import Callable

import pytest

from jmmrec.data import describe, inspect, load, save, shares, with_mask

Folder = Callable[[str], pathlib.Path]

# name: sizes, rows per split, (min, median, max) user degree, cold items, test rows with them, rows equal to another.
KNOWN = {
    "lfm2k": ((1858, 1425), (44327, 4799, 7219), (2, 32, 50), 0, 0, {}),
    "tiktok": ((9308, 6710), (59541, 3051, 6130), (1, 3, 604), 465, 449, {"audio": 104, "image": 6}),
    "amazon_scientific": ((2928, 1585), (13716, 2926, 2926), (1, 6, 35), 5, 20, {"image": 113, "text": 20}),
}


@pytest.mark.parametrize("name", KNOWN)
def test_statistics(real_data: Folder, name: str) -> None:
    sizes, rows, degree, cold, touched, repeated = KNOWN[name]
    found = describe(load(real_data(name)))
    assert (found.n_users, found.n_items) == sizes
    assert tuple(found.interactions.values()) == rows
    assert found.user_degree == degree
    assert (found.cold_items, found.cold_touched["test"]) == (cold, touched)
    assert {m.name: m.repeated_rows for m in found.modalities} | repeated == {
        m.name: m.repeated_rows for m in found.modalities
    }
    assert found == inspect(real_data(name))


def test_tiktok_users_without_items(real_data: Folder) -> None:
    assert inspect(real_data("tiktok"), modalities=[]).users_without == {"train": 10, "valid": 6257, "test": 3178}


def test_lfm2k_modalities_and_ids(real_data: Folder) -> None:
    d = load(real_data("lfm2k"))
    assert {name: m.dim for name, m in d.modalities.items()} == {"audio": 128, "text": 384, "whisper": 512}
    assert d.item_ids[:2].tolist() == [80, 66]


@pytest.mark.parametrize(
    ("name", "mask", "groups"),
    [
        ("amazon_baby", "missing_items_0.666.tsv", (2350, 2350, 2350)),
        ("tiktok", "missing_items_0.6.tsv", (3131, 1788, 1791)),  # of its three modalities text is not there
    ],
)
def test_published_masks(real_data: Folder, name: str, mask: str, groups: tuple[int, ...]) -> None:
    folder = real_data(name)
    d = load(folder, inter="baby" if name == "amazon_baby" else None)
    assert tuple(shares(with_mask(d, folder / mask)).groups.values()) == groups


def test_scientific_round_trip(real_data: Folder, tmp_path: pathlib.Path) -> None:
    d = load(real_data("amazon_scientific"))
    back = load(save(d, tmp_path / "copy"))
    assert back.digest == d.digest and back.item_ids.tolist() == d.item_ids.tolist()
    assert str(d.item_ids[0]) == "B00O47ILVA"
