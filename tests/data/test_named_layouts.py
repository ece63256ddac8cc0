"""RecBole atomic files, CSV and Parquet: ids as names, features by name."""

import pathlib

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from jmmrec.data import inspect, load
from jmmrec.data.columns import ROLES
from jmmrec.errors import DataError

PAIRS = [("ann", "i9", 0), ("ann", "i10", 0), ("bob", "i9", 0), ("bob", "i2", 1), ("bob", "i10", 2), ("cid", "i2", 0)]
INTERACTIONS = ["user_id,item_id,split", *(f"{u},{i},{('train', 'valid', 'test')[s]}" for u, i, s in PAIRS)]


def write(path: pathlib.Path, *lines: str) -> pathlib.Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def named(rows: np.ndarray, d) -> set[tuple[str, str]]:
    """Interactions in original ids."""
    return {(str(d.user_ids[u]), str(d.item_ids[i])) for u, i in rows}


def check_pairs(d) -> None:
    for label, rows in enumerate((d.train, d.valid, d.test)):
        assert named(rows, d) == {(u, i) for u, i, s in PAIRS if s == label}


def test_atomic_files_with_features(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "toy.inter", "user_id:token\titem_id:token\trating:float\tx_label:float",
          *(f"{u}\t{i}\t5\t{s}" for u, i, s in PAIRS))  # fmt: skip
    write(tmp_path / "toy.item", "item_id:token\ttitle:token_seq\timage_emb:float_seq\ttext:float_seq",
          "i9\ta b\t1 2\t5", "i10\tc\t\t6", "i7\td\t3 4\t")  # fmt: skip
    d = load(tmp_path)
    check_pairs(d)
    assert d.name == "toy" and d.item_ids.tolist() == ["i10", "i2", "i7", "i9"]
    image = d.modalities["image"]
    assert image.present.tolist() == [False, False, True, True]
    assert image.features.tolist() == [[0, 0], [0, 0], [3, 4], [1, 2]]
    assert d.modalities["text"].present.tolist() == [True, False, False, True]


def test_atomic_benchmark_files(tmp_path: pathlib.Path) -> None:
    for label, part in enumerate(("train", "valid", "test")):
        write(tmp_path / f"toy.{part}.inter", "user_id:token\titem_id:token",
              *(f"{u}\t{i}" for u, i, s in PAIRS if s == label))  # fmt: skip
    d = load(tmp_path)
    check_pairs(d)
    assert d.name == "toy"
    assert load(tmp_path / "toy.train.inter").digest == d.digest
    write(tmp_path / "toy.test.inter", "user_id:token\titem_id:token", "bob\ti10", "ann\ti9")
    with pytest.raises(DataError, match=r"toy\.test\.inter line 3 puts user ann and item i9 in test but .*toy\.train"):
        load(tmp_path)


def test_atomic_item_files_that_do_not_fit(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "toy.inter", "user_id:token\titem_id:token\tsplit:token", *(f"{u}\t{i}\t{s}" for u, i, s in PAIRS))
    for rows, words in (
        (["i9\t1 2", "i2\t1"], r"line 3 has 1 features where the first item has 2"),
        (["i9\t1 x"], r"line 2 holds a feature that is not a number"),
        (["i9\t1", "i9\t2"], r"lists item i9 more than once"),
        (["i9\t"], "no feature at all"),
    ):
        write(tmp_path / "toy.item", "item_id:token\timage:float_seq", *rows)
        with pytest.raises(DataError, match=words):
            load(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        "user_id,item_id,split",
        "reviewerID,asin,x_label",
        "userID,itemID,subset",
        "user,item,split",
        '"User","Item",split',
    ],
)
def test_csv_columns_by_their_usual_names(tmp_path: pathlib.Path, header: str) -> None:
    check_pairs(load(write(tmp_path / "a.csv", header, *INTERACTIONS[1:])))


def test_csv_quotes_and_semicolons(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.csv", "user;item;review;split", '"ann; x";a;"two\nlines";0', "bob;b;;0", "bob;c;;2")
    d = load(path)
    assert d.user_ids.tolist() == ["ann; x", "bob"]
    with pytest.raises(DataError, match=r"a\.csv line 5 has split 7"):
        load(write(path, "user;item;review;split", '"ann; x";a;"two\nlines";0', "bob;b;;0", "bob;c;;7"))


def test_numbers_as_ids_are_sorted_by_number_and_stay_numbers(tmp_path: pathlib.Path) -> None:
    d = load(write(tmp_path / "a.csv", "user,item,split", "10,300,0", "9,40,0", "9,300,2"))
    assert d.user_ids.tolist() == [9, 10] and d.item_ids.tolist() == [40, 300]


def test_numbering_does_not_depend_on_the_order_of_lines(tmp_path: pathlib.Path) -> None:
    first = load(write(tmp_path / "a.csv", *INTERACTIONS))
    assert load(write(tmp_path / "a.csv", INTERACTIONS[0], *INTERACTIONS[:0:-1])).digest == first.digest


def test_parquet_interactions_and_features(tmp_path: pathlib.Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    users, items, labels = zip(*PAIRS, strict=True)
    pq.write_table(pa.table({"user_id": users, "item_id": items, "split": labels}), tmp_path / "log.parquet")
    pq.write_table(pa.table({"item_id": ["i9", "i2"], "vector": [[1.0, 2.0], [3.0, 4.0]]}), tmp_path / "image.parquet")
    pq.write_table(pa.table({"asin": ["i9", "i2"], "x": [1, 2], "y": [0.5, None]}), tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"text\.parquet \(item i2\) holds NaN"):
        load(tmp_path)
    d = load(tmp_path, modalities=["image"])
    check_pairs(d)
    assert d.name == tmp_path.name
    assert d.modalities["image"].features.tolist() == [[0, 0], [3, 4], [1, 2]]
    assert d.modalities["image"].present.tolist() == [False, True, True]
    (tmp_path / "log.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"log\.parquet is not a readable Parquet file"):
        load(tmp_path / "log.parquet")


def test_parquet_without_pyarrow(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"needs pyarrow; install it with pip install 'jmmrec\[data\]'"):
        load(tmp_path / "a.parquet")


def test_csv_features_keyed_by_item(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "log.csv", *INTERACTIONS)
    write(tmp_path / "image_feat.csv", "item_id,x,y", "i2,1,2", "i9,,", "i77,5,6")
    d = load(tmp_path)
    assert d.item_ids.tolist() == ["i10", "i2", "i77", "i9"]
    assert d.modalities["image"].present.tolist() == [False, True, True, False]
    write(tmp_path / "image_feat.csv", "item_id,x,y", "i2,1,2", "i9,big,1")
    with pytest.raises(DataError, match=r"image_feat\.csv line 3 has x big, which is not a number.*modalities="):
        load(tmp_path)
    check_pairs(load(tmp_path, modalities=[]))


@pytest.mark.parametrize("name", ["items.csv", "items.tsv"])
def test_arrays_with_a_list_of_items(tmp_path: pathlib.Path, name: str) -> None:
    write(tmp_path / "log.csv", *INTERACTIONS)
    np.save(tmp_path / "image_feat.npy", np.arange(8.0).reshape(4, 2))
    with pytest.raises(DataError, match=r"nothing says which item each row .* add items\.csv"):
        load(tmp_path)
    write(tmp_path / name, "item_id", "i9", "i2", "i8", "i10")
    d = load(tmp_path)
    check_pairs(d)
    assert d.item_ids.tolist() == ["i9", "i2", "i8", "i10"]
    assert d.modalities["image"].features[3].tolist() == [6, 7]
    write(tmp_path / name, "item_id", "i9", "i2", "i8")
    with pytest.raises(DataError, match=r"line 3 names item i10, which the items list"):
        load(tmp_path)
    write(tmp_path / name, "item_id", "i9", "i2", "i8", "i10", "i11")
    with pytest.raises(DataError, match=r"image_feat\.npy has 4 rows but there are 5 items"):
        load(tmp_path)
    write(tmp_path / name, "item_id", "i9", "i2", "i9", "i10")
    with pytest.raises(DataError, match="lists item i9 more than once"):
        load(tmp_path)


def test_row_numbers_as_item_ids_need_no_list(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "log.csv", "user,item,split", "ann,3,0", "bob,0,0", "bob,3,2")
    np.save(tmp_path / "image_feat.npy", np.eye(5))
    d = load(tmp_path)
    assert d.n_items == 5 and d.train[:, 1].tolist() == [3, 0]


def test_times_with_zones_are_moments(tmp_path: pathlib.Path) -> None:
    moments = (
        "2020-03-01T10:00:00Z",
        "2020-03-01T10:30:00+01:00",
        "2020-03-01T10:15:00.5+0000",
        "2020-03-01 09:45:00Z",
    )
    rows = [f"anna,i{n},{moment}" for n, moment in enumerate(moments)] + [
        f"bob,i{n},2020-01-0{n + 1}" for n in range(4)
    ]
    d = load(write(tmp_path / "a.csv", "user,item,time", *rows), split="leave_one_out")
    # Anna's in UTC: i1 9:30, i3 9:45, i0 10:00, i2 10:15.
    anna = [[item for user, item in part.tolist() if d.user_ids[user] == "anna"] for part in (d.train, d.valid, d.test)]
    assert [[str(d.item_ids[item]) for item in part] for part in anna] == [["i1", "i3"], ["i0"], ["i2"]]


def test_times_of_databases_and_parquet(tmp_path: pathlib.Path, recwarn: pytest.WarningsRecorder) -> None:
    moments = ["2020-01-01 10:00:00+02", "2020-01-01 08:30:00+00", "2020-01-01 08:15:00+00:00"]
    rows = [f"ann,i{n},{moment}" for n, moment in enumerate(moments)]
    other = [f"bob,i{n},2020-01-0{n}" for n in (1, 2)]
    d = load(write(tmp_path / "a.csv", "user,item,time", *rows, *other), split="leave_one_out")
    assert named(d.test, d) == {("ann", "i1")} and named(d.valid, d) == {("ann", "i2")}
    users, items = ["ann"] * 3 + ["bob"] * 2, ["i0", "i1", "i2", "i1", "i2"]
    table = pyarrow.table({"user": users, "item": items, "time": [*moments, "2020-01-01", "2020-01-02"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet", split="leave_one_out").digest == d.digest
    path = write(tmp_path / "b.csv", "user,item,time", *rows, *other, "bob,i0,0001-01-01T00:00:00+02:00")
    with pytest.raises(DataError, match="line 7 has time 0001-01-01T00:00:00"):
        load(path, split="leave_one_out")
    assert not [one for one in recwarn if "timezone" in str(one.message)]


def test_the_page_tells_all_names_of_columns() -> None:
    page = (pathlib.Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for role, names in zip(("user", "item", "time", "split"), ROLES.values(), strict=True):
        assert f"| {role} | {', '.join(names)}" in page


def test_atomic_files_of_one_split_without_a_name(tmp_path: pathlib.Path) -> None:
    (tmp_path / "rc").mkdir()
    for name, rows in (("train", ["a\tx", "b\ty", "b\tz"]), ("test", ["b\tx"])):
        write(tmp_path / "rc" / f"{name}.inter", "user_id:token\titem_id:token", *rows)
    write(tmp_path / "rc" / "rc.item", "item_id:token\timg:float_seq", "x\t1 2", "y\t3 4", "z\t5 6")
    d = load(tmp_path / "rc")
    assert d.name == "rc" and list(d.modalities) == ["img"] and len(d.test) == 1


def test_tables_of_one_split(tmp_path: pathlib.Path) -> None:
    parts = {"train": ("anna,x", "anna,y", "bob,y", "bob,z"), "validation": ("anna,z",), "test": ("bob,x",)}
    (tmp_path / "shop").mkdir()
    for name, rows in parts.items():
        write(tmp_path / "shop" / f"{name}.csv", "user_id,item_id", *rows)
    d = load(tmp_path / "shop")
    assert d.name == "shop" and [len(part) for part in (d.train, d.valid, d.test)] == [4, 1, 1]
    (tmp_path / "shop" / "validation.csv").rename(tmp_path / "shop" / "val.csv")
    assert load(tmp_path / "shop").digest == d.digest
    write(tmp_path / "shop" / "extra.csv", "user_id,item_id", "anna,x")
    with pytest.raises(DataError, match=r"\(extra\.csv, train\); choose one with inter="):
        load(tmp_path / "shop")
    assert load(tmp_path / "shop", inter="train").digest == d.digest
    whole = load(tmp_path / "shop", inter="train", split="per_user")
    alone = load(tmp_path / "shop", inter="train.csv", split="per_user")
    assert [len(np.concatenate([one.train, one.valid, one.test])) for one in (whole, alone)] == [6, 4]
    with pytest.raises(DataError, match=r"give the folder .*shop, where test\.csv, val\.csv stand beside it"):
        load(tmp_path / "shop" / "train.csv")
    for name in ("train", "val", "test"):
        (tmp_path / "shop" / f"{name}.csv").rename(tmp_path / "shop" / f"May_{name}.csv")
    assert load(tmp_path / "shop", inter="May").name == "May"
    (tmp_path / "shop" / "May_train.csv").unlink()
    with pytest.raises(DataError, match=r"\(May_test\.csv, May_val\.csv, extra\.csv\)"):
        load(tmp_path / "shop")


def test_times_order_leave_one_out(tmp_path: pathlib.Path) -> None:
    rows = ["ann,a,2014-03-01", "ann,b,2014-01-01", "ann,c,2014-02-01", "bob,a,2013-01-01", "cid,b,2013-01-02"]
    d = load(write(tmp_path / "a.csv", "user,item,time", *rows), split="leave_one_out")
    assert named(d.test, d) == {("ann", "a")} and named(d.valid, d) == {("ann", "c")}
    seconds = [f"{r.rsplit(',', 1)[0]},{np.datetime64(r[-10:], 's').astype(int)}" for r in rows]
    assert load(write(tmp_path / "a.csv", "user,item,timestamp", *seconds), split="leave_one_out").digest == d.digest
    path = write(tmp_path / "a.csv", "user,item,time", *rows, "bob,c,soon")
    with pytest.raises(DataError, match="line 7 has time soon, which is neither a number nor a date"):
        load(path, split="global_time")
    assert load(path, split="per_user").n_users == 3


def test_files_that_look_like_features_are_named(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "log.csv", *INTERACTIONS)
    write(tmp_path / "image.csv", "sku,x", "i9,1")
    write(tmp_path / "text.csv", "item,x", "i9,1")
    np.save(tmp_path / "audio.npy", np.eye(3))
    for said in (list(inspect(tmp_path).warnings), load(tmp_path) and capsys.readouterr().err.splitlines()):
        told = " ".join(said)
        assert "image.csv is not read as features: its first column is 'sku', not one of item" in told
        assert "audio.npy is not read; if it holds features, call it audio_feat.npy." in told and "text.csv" not in told


def test_ids_that_are_written_in_two_ways_are_told(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "log.csv", "user,item,split", "ann,0007,0", "bob,0008,0", "bob,0007,2")
    write(tmp_path / "image.csv", "item,x", "7,1", "8,2")
    load(tmp_path)
    assert "0 of 2 items have a row in" in capsys.readouterr().err
    write(tmp_path / "image.csv", "item,x", "0007,1", "0009,2")  # one of them is new, which is as it may be
    load(tmp_path)
    assert capsys.readouterr().err == ""


def test_ids_of_feature_rows_stand_in_the_column_that_says_so(tmp_path: pathlib.Path) -> None:
    """As pandas writes a table with its index."""
    write(tmp_path / "log.csv", "user,item,split", "ann,2,0", "bob,0,0", "bob,1,2")
    np.save(tmp_path / "image_feat.npy", np.eye(3))
    write(tmp_path / "items.csv", ",item_id", "0,2", "1,0", "2,1")
    d = load(tmp_path)
    assert d.item_ids.tolist() == [2, 0, 1] and named(d.test, d) == {("bob", "1")}
    write(tmp_path / "items.csv", ",id", "0,2", "1,0", "2,1")
    with pytest.raises(DataError, match="its first one has no name; head the ids item_id"):
        load(tmp_path)


def test_leave_one_out_needs_times(tmp_path: pathlib.Path) -> None:
    rows = ["ann,a,3", "ann,b,1", "ann,c,2", "bob,a,1"]
    with pytest.raises(DataError, match=r"has no timestamp column .*, which leave_one_out needs"):
        load(write(tmp_path / "a.csv", "user,item,when", *rows), split="leave_one_out")
    d = load(write(tmp_path / "a.csv", "user,item,created_at", *rows), split="leave_one_out")
    assert named(d.test, d) == {("ann", "a")}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["user,item,split", "ann,,0"], "line 2 has no item"),
        (["user,item,split", ",a,0"], "line 2 has no user"),
        (["who,what", "ann,a"], "names no user column"),
        (["user,item,split"], "no interactions"),
        (["user,item,split", "ann,a,train", "ann,a,train"], "line 3 repeats user ann and item a of line 2"),
        (["user,item,split", 'ann,"a,train'], "fields|valid CSV"),
    ],
)
def test_bad_csv(tmp_path: pathlib.Path, lines: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(write(tmp_path / "a.csv", *lines))


def test_one_modality_in_two_files(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "log.csv", *INTERACTIONS)
    write(tmp_path / "image.csv", "item,x", "i9,1")
    np.save(tmp_path / "image_feat.npy", np.eye(3))
    with pytest.raises(DataError, match="modality 'image' in two files"):
        load(tmp_path)


def test_which_items_there_are_does_not_hang_on_the_modalities_read(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "a.csv", *INTERACTIONS)
    write(tmp_path / "image.csv", "item,x", "i9,1", "i77,2")
    write(tmp_path / "text.csv", "item,x", "i9,1", "i88,2", "i99,")
    whole = load(tmp_path)
    assert whole.item_ids.tolist() == ["i10", "i2", "i77", "i88", "i9"]
    for chosen in ((), ("image",), ("text",), ("text", "image")):
        assert load(tmp_path, modalities=chosen).digest == whole.select(*chosen).digest
    np.save(tmp_path / "audio_feat.npy", np.ones((7, 2)))  # whose rows nothing names, and nobody asks for
    assert load(tmp_path, modalities=["text"]).digest == whole.select("text").digest
    write(tmp_path / "a.csv", "user,item,split", "u,0,train", "v,1,train", "u,2,test")
    (tmp_path / "image.csv").unlink()
    (tmp_path / "text.csv").unlink()
    assert load(tmp_path, modalities=[]).n_items == load(tmp_path).n_items == 7


def test_tables_that_cannot_be_read_can_be_left_out(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Endings may be in capitals; strangers among the ids are told whatever is chosen."""
    write(tmp_path / "A.CSV", *INTERACTIONS, '"cid","i, 9",train')
    write(tmp_path / "image.Csv", "item,x", "9,1", "10,2")
    (tmp_path / "notes.csv").write_bytes(b"item,x\n\xe4,1\n")
    with pytest.raises(DataError, match=r"notes.csv line 2 is not UTF-8 text.* Or name the modalities to read"):
        load(tmp_path)
    for path in (tmp_path, tmp_path / "A.CSV"):
        d = load(path, modalities=["image"])
        assert "0 of 4 items have a row in" in capsys.readouterr().err
        assert d.item_ids.tolist() == ["10", "9", "i, 9", "i10", "i2", "i9"]
    with pytest.raises(DataError, match=r"notes.csv line 2"):
        load(tmp_path, modalities=["notes"])


@pytest.mark.parametrize("moments", [("1398902400", "2014-05-01"), ("2014-05-01", "2014")])
def test_dates_among_numbers(tmp_path: pathlib.Path, moments: tuple[str, str]) -> None:
    lines = (f"u,{n},{moments[n > 1]}" for n in range(4))
    path = write(tmp_path / "a.csv", "user,item,time", *lines)
    with pytest.raises(DataError, match=rf"a.csv line 4 has time {moments[1]} where rows before have {moments[0]}"):
        load(path, split="leave_one_out")
