"""MMRec's own folder layout: what comes out of good folders, and the sentence for each bad one."""

import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from jmmrec.data import load
from jmmrec.errors import ConfigError, DataError

Make = Callable[..., pathlib.Path]
ROWS = ["0\t0\t0", "0\t1\t0", "0\t2\t1", "0\t4\t2", "1\t1\t0", "1\t3\t0", "1\t0\t2", "2\t3\t0"]


def write(path: pathlib.Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_good_folder(mmrec: Make, features: np.ndarray) -> None:
    d = load(mmrec())
    assert (d.name, d.n_users, d.n_items) == ("toy", 3, 5)
    assert d.train.tolist() == [[0, 0], [0, 1], [1, 1], [1, 3], [2, 3]]
    assert d.valid.tolist() == [[0, 2]]
    assert d.test.tolist() == [[0, 4], [1, 0]]
    assert np.array_equal(d.modalities["image"].features, features)
    assert d.item_ids.tolist() == [0, 1, 2, 3, 4]


def test_rating_and_timestamp_columns_are_passed_over(mmrec: Make) -> None:
    folder = mmrec()
    plain = load(folder)
    rows = [[*row.split("\t")[:2], "5.0", "soon", row[-1]] for row in ROWS]
    write(folder / "toy.inter", "userID\titemID\trating\ttimestamp\tx_label", *map("\t".join, rows))
    assert load(folder / "toy.inter").digest == plain.digest


def test_line_endings_order_of_lines_blank_lines_and_byte_order_mark_do_not_matter(mmrec: Make) -> None:
    folder = mmrec()
    plain = load(folder)
    text = "\ufeffuserID\titemID\tx_label\r\n\r\n" + "\r\n".join(ROWS[::-1])
    (folder / "toy.inter").write_bytes(text.encode())
    assert load(folder).digest == plain.digest


def test_feature_rows_extend_the_catalogue_whichever_modalities_are_read(mmrec: Make) -> None:
    folder = mmrec(image_feat=np.ones((9, 2)), text_feat=np.ones((9, 4)))
    assert load(folder).n_items == load(folder, modalities=[]).n_items == 9
    assert list(load(folder, modalities=["text", "image"]).modalities) == ["text", "image"]


def test_published_neighbours_and_missing_marks(mmrec: Make) -> None:
    near, missing = np.tile(np.arange(2), (5, 1)), np.arange(5) == 3
    folder = mmrec(
        image_knn_idx=near.astype(np.int16),
        image_knn_cos=np.ones((5, 2), np.float16),
        image_missing=missing,
    )
    image = load(folder).modalities["image"]
    assert image.neighbours is not None and image.similarities is not None
    assert image.neighbours.dtype == np.int32 and np.array_equal(image.neighbours, near)
    assert image.similarities.dtype == np.float32
    assert np.array_equal(image.present, ~missing)
    assert not image.features[3].any()


@pytest.mark.parametrize(
    ("lines", "ids"),
    [
        (
            ["itemID\tasin\ttext"] + [f"{i}\tB{i:02}\tsome text" for i in (4, 3, 2, 1, 0)],
            ["B00", "B01", "B02", "B03", "B04"],
        ),
        (["itemID\tartist"] + [f"{i}\t{i * 7}" for i in range(5)], [0, 7, 14, 21, 28]),
        (["itemID\tartist:token"] + [f"{i}\t{i * 7}" for i in range(5)], ["0", "7", "14", "21", "28"]),
        (["itemID\tbrand"] + [f"{i}\tsame" for i in range(5)], [0, 1, 2, 3, 4]),
        (["itemID\tasin"] + [f"{i}\tB{i}" for i in range(4)], [0, 1, 2, 3, 4]),
    ],
    ids=["text", "numbers", "numbers kept as text", "repeats are no ids", "incomplete list"],
)
def test_items_tsv_gives_original_ids(mmrec: Make, lines: list[str], ids: list) -> None:
    folder = mmrec()
    write(folder / "items.tsv", *lines)
    assert load(folder).item_ids.tolist() == ids


def test_several_inter_files_are_asked_about(mmrec: Make) -> None:
    folder = mmrec()
    write(folder / "other.inter", "userID\titemID\tx_label", *ROWS[:6])
    with pytest.raises(DataError, match=r"other\.inter, toy\.inter.*inter='NAME'"):
        load(folder)
    assert len(load(folder, inter="other.inter").test) == 1
    assert load(folder, inter="toy").digest == load(folder / "toy.inter").digest
    with pytest.raises(DataError, match=r"no interaction file 'third'; it has other\.inter, toy\.inter"):
        load(folder, inter="third")


def test_split_labels_an_unlabelled_file(mmrec: Make) -> None:
    folder = mmrec([f"{u}\t{i}" for u in range(3) for i in range(20) if (u + i) % 3], header="userID\titemID",
                   image_feat=np.ones((20, 2)))  # fmt: skip
    with pytest.raises(DataError, match=r"no split column.*jmmrec data split"):
        load(folder)
    d = load(folder, split="per_user", seed=1)
    assert [len(np.unique(part[:, 0])) for part in (d.train, d.valid, d.test)] == [3, 3, 3]
    assert d.digest == load(folder, split="per_user", seed=1).digest != load(folder, split="per_user", seed=2).digest
    with pytest.raises(DataError, match="no timestamp column"):
        load(folder, split="global_time")


def test_core_renumbers_users_items_and_features(mmrec: Make, features: np.ndarray) -> None:
    rows = ["0\t0", "0\t1", "0\t4", "1\t0", "1\t1", "1\t4", "2\t0", "2\t1", "2\t3", "2\t4", "3\t2"]
    folder = mmrec(rows, header="userID\titemID")
    write(folder / "items.tsv", "itemID\tid", *(f"{i}\tB{i}" for i in range(5)))
    d = load(folder, split="per_user", core=3)
    assert (d.n_users, d.n_items, d.item_ids.tolist()) == (3, 3, ["B0", "B1", "B4"])
    assert np.array_equal(d.modalities["image"].features, features[[0, 1, 4]])
    with pytest.raises(DataError, match="4-core"):
        load(folder, split="per_user", core=4)
    with pytest.raises(ConfigError, match="split anew"):
        load(folder, core=3)


def test_duplicates_are_refused_or_dropped(mmrec: Make) -> None:
    folder = mmrec([*ROWS, "0\t1\t0"])
    with pytest.raises(DataError, match=r"toy\.inter line 10 repeats user 0 and item 1 of line 3 \(1 such.*'drop'"):
        load(folder)
    assert len(load(folder, duplicates="drop").train) == 5


def test_overlap_between_splits_is_never_dropped(mmrec: Make) -> None:
    folder = mmrec([*ROWS, "0\t1\t2"])
    for duplicates in ("error", "drop"):
        with pytest.raises(DataError, match="line 10 puts user 0 and item 1 in test but line 3 puts them in train"):
            load(folder, duplicates=duplicates)


def test_nan_rows_are_missing_only_when_asked(mmrec: Make, features: np.ndarray) -> None:
    features[2] = np.nan
    folder = mmrec(image_feat=features)
    with pytest.raises(DataError, match=r"image_feat\.npy row 2 \(item 2\).*missing='nan'"):
        load(folder)
    assert load(folder, missing="nan").modalities["image"].present.tolist() == [True, True, False, True, True]
    features[3, 0] = np.nan
    np.save(folder / "image_feat.npy", features)
    with pytest.raises(DataError, match="row 3"):
        load(folder, missing="nan")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["0\t0\t0", "a\t1\t0"], r"line 3 has userID a, which is not a whole number"),
        (["0\t0\t0", "0\t1.5\t0"], r"line 3 has itemID 1\.5"),
        (["0\t0\t0", "0\t\t0"], r"line 3 has itemID "),
        (["0\t0\t0", "0\t-1\t0"], r"line 3 has itemID -1, which lies outside"),
        (["0\t0\t0", "0\t99999999999999999999\t0"], r"line 3 has itemID 9999"),
        (["0\t0\t0", "0\t2000000\t0"], r"line 3 names item 2000000 but the file has only 2 items"),
        (["0\t0\t0", "0\t1\t3"], r"line 3 has x_label 3; use 0, 1, 2"),
        (["0\t0\t0", "0\t1"], r"line 3 has 2 fields but the header has 3"),
        (["0\t0\t0", "0\t1\t0\t0"], r"line 3 has 4 fields"),
        (["0\t0\t0", "", "0\tx\t0"], r"line 4 has itemID x"),
        ([], r"has a header but no interactions"),
        (["0\t0\t1"], r"no training interactions"),
    ],
)
def test_bad_rows(mmrec: Make, rows: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(mmrec(rows, image_feat=np.ones((5, 2))))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("header", ["0\t0\t0", "userID\tx_label\trating", "a,b,c"])
def test_header_without_users_or_items(mmrec: Make, header: str) -> None:
    with pytest.raises(DataError, match=r"line 1 names no (user|item) column"):
        load(mmrec(["0\t0\t0"], header=header))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"userID\titemID\tx_label\n0\t\xff\t0\n", r"line 2 is not UTF-8"),
        (b"userID\tuserID\titemID\n0\t0\t0\n", "names column 'userID' twice"),
    ],
)
def test_bad_files(mmrec: Make, content: bytes, words: str) -> None:
    folder = mmrec()
    (folder / "toy.inter").write_bytes(content)
    with pytest.raises(DataError, match=words):
        load(folder)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"image_feat": np.ones((4, 2))}, r"image_feat\.npy has 4 rows but items run from 0 to 4"),
        ({"text_feat": np.ones((6, 2))}, r"(image|text)_feat\.npy has . rows but (image|text)_feat\.npy has ."),
        ({"image_feat": np.ones((5, 0))}, r"image_feat\.npy has shape \(5, 0\)"),
        ({"image_feat": np.ones(5)}, r"image_feat\.npy has shape \(5,\)"),
        ({"image_feat": np.full((5, 1), "a")}, r"image_feat\.npy has shape .* type <U1"),
        ({"image_feat": np.array([[None]] * 5)}, r"image_feat\.npy holds pickled Python objects"),
        ({"image_feat": np.full((5, 1), 1e300)}, r"row 0 .* NaN or infinity"),
        ({"image_knn_idx": np.ones((4, 2), int)}, r"image_knn_idx\.npy has 4 rows"),
        ({"image_knn_idx": np.ones((5, 2))}, r"image_knn_idx\.npy has shape .* save whole numbers"),
        ({"image_knn_idx": np.full((5, 2), 5)}, r"image_feat\.npy name item 5"),
        ({"image_knn_idx": np.ones((5, 2), int), "image_knn_cos": np.ones((5, 3))}, r"image_knn_cos\.npy has shape"),
        ({"image_missing": np.ones(5)}, r"image_missing\.npy has shape .* one bool for each of the 5"),
    ],
)
def test_bad_arrays(mmrec: Make, arrays: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(mmrec(**arrays))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b[:-9], "truncated"),
        (lambda b: b[:20], "truncated"),
        (lambda b: b"", "empty"),
        (lambda b: b"PNG" + b, "not a .npy"),
    ],
)
def test_damaged_array(mmrec: Make, damage: Callable[[bytes], bytes], words: str) -> None:
    folder = mmrec()
    path = folder / "image_feat.npy"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"image_feat\.npy.*{words}"):
        load(folder)
    assert load(folder, modalities=[]).n_items == 5


def test_paths_and_names_that_are_not_there(mmrec: Make, tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="NUL character"):
        load("a\0b")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="holds no interactions"):
        load(tmp_path / "bare")
    with pytest.raises(DataError, match="no modality 'video'; it has image"):
        load(mmrec(), modalities=["video"])
    with pytest.raises(DataError, match="no modality 'video'"):
        load("synthetic", modalities=["video"])


@pytest.mark.parametrize("option", [{"duplicates": "keep"}, {"missing": "zero"}, {"split": "random"}])
def test_unknown_options(mmrec: Make, option: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(option))} is .*choose one of"):
        load(mmrec(), **option)  # pyright: ignore[reportArgumentType]


def test_permission_denied(mmrec: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: pathlib.Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    folder = mmrec()
    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"cannot read .*toy\.inter: permission denied"):
        load(folder)
