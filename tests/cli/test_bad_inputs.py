"""Whatever is wrong with files, options or runs: one sentence that names it, exit code 2, no traceback."""

import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import jmmrec
from jmmrec.data import SyntheticConfig

Change = Callable[[pathlib.Path], object]
TRAIN = ("train", "bpr", "--data", "tiny", "--quiet", "--out", "new", "--model.embed-dim", "4", "--epochs", "2")
FREEDOM = ("train", "freedom", *TRAIN[2:])
AUDIT = ("data", "audit-modalities", "tiny")
SEARCH = ("search", "bpr", "--data", "tiny", "--out", "new", "--quiet")
HALF = (*TRAIN, "--missing-rate", "0.5")
STATIC = (*FREEDOM, "--warmup", "static")


class Bad(NamedTuple):
    """A bad input: its name, the command line, words the sentence must hold, and what is changed before."""

    name: str
    argv: tuple[str, ...]
    words: tuple[str, ...]
    change: Change = lambda place: None


def inter(text: str | bytes) -> Change:
    """Another interaction file."""
    return lambda place: (place / "tiny" / "tiny.inter").write_bytes(text if isinstance(text, bytes) else text.encode())


def added(line: str) -> Change:
    """One more line in the interaction file; {first} is its first row's user and item."""

    def change(place: pathlib.Path) -> None:
        path = place / "tiny" / "tiny.inter"
        lines = path.read_text().splitlines()
        first = "\t".join(lines[1].split("\t")[:2])
        path.write_text("\n".join([*lines, line.format(first=first)]) + "\n")

    return change


def relabelled(old: str, new: str) -> Change:
    """Every row of one split given to another."""

    def change(place: pathlib.Path) -> None:
        path = place / "tiny" / "tiny.inter"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([line[:-1] + new if line.endswith("\t" + old) else line for line in lines]) + "\n")

    return change


def greedy(place: pathlib.Path) -> None:
    """A new user who has every item in training."""
    path = place / "tiny" / "tiny.inter"
    path.write_text(path.read_text() + "".join(f"30\t{item}\t0\n" for item in range(24)))


def features(edit: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Other image features."""

    def change(place: pathlib.Path) -> None:
        path = place / "tiny" / "image_feat.npy"
        np.save(path, edit(np.load(path)), allow_pickle=True)

    return change


def poisoned(table: np.ndarray) -> np.ndarray:
    """The table with one NaN in row 7."""
    table[7, 2] = np.nan
    return table


def shortened(*path: str) -> Change:
    """A file cut in half."""

    def change(place: pathlib.Path) -> None:
        file = place.joinpath(*path)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return change


def recorded(**entries: object) -> Change:
    """Another run record."""

    def change(place: pathlib.Path) -> None:
        path = place / "run" / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return change


def without_features(place: pathlib.Path) -> None:
    """No modality left."""
    for path in (place / "tiny").glob("*_feat.npy"):
        path.unlink()


def flipped(place: pathlib.Path) -> None:
    """The last byte of the parameters changed."""
    path = place / "run" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damaged(place: pathlib.Path) -> None:
    """Every checkpoint cut short, and the run not finished."""
    recorded(status="running")(place)
    for path in (place / "run" / "checkpoints").glob("*.json"):
        path.write_text(path.read_text()[:40])


def other_data(place: pathlib.Path) -> None:
    """A run on a second data set beside the first."""
    config = SyntheticConfig(n_users=20, n_items=24, interactions_per_user=8, name="other")
    jmmrec.save(jmmrec.synthesize(config).dataset, place / "other")
    jmmrec.fit(jmmrec.BprMf(embed_dim=4), place / "other", epochs=1, quiet=True, out=place / "run2")


def several(place: pathlib.Path) -> None:
    """Two interaction files."""
    (place / "tiny" / "again.inter").write_bytes((place / "tiny" / "tiny.inter").read_bytes())


def mask(name: str, text: str) -> Change:
    """A file that should be a mask."""
    return lambda place: (place / name).write_text(text)


FILES = [
    Bad("no such path", (*TRAIN[:3], "nowhere"), ("nowhere", "does not exist")),
    Bad("no interactions", TRAIN, ("tiny", ".inter"), lambda p: (p / "tiny" / "tiny.inter").unlink()),
    Bad("several interaction files", TRAIN, ("several", "again.inter", "--inter"), several),
    Bad("another interaction file", (*TRAIN, "--inter", "x"), ("'x'", "tiny.inter")),
    Bad("no label column", TRAIN, ("x_label", "split"), inter("userID\titemID\n0\t1\n1\t2\n")),
    Bad("unknown label", TRAIN, ("line 2", "9"), inter("userID\titemID\tx_label\n0\t1\t9\n")),
    Bad("id that is no number", TRAIN, ("tiny.inter", "abc"), added("abc\t1\t0")),
    Bad("negative id", TRAIN, ("tiny.inter", "-4"), added("-4\t1\t0")),
    Bad("id far beyond the others", TRAIN, ("900000",), added("900000\t1\t0")),
    Bad("columns without names", TRAIN, ("line 1", "user"), inter("0\t1\t0\n")),
    Bad("ragged line", TRAIN, ("line",), added("1")),
    Bad("empty file", TRAIN, ("tiny.inter", "empty"), inter("")),
    Bad("header alone", TRAIN, ("tiny.inter", "no interactions"), inter("userID\titemID\tx_label\n")),
    Bad("not UTF-8", TRAIN, ("tiny.inter", "UTF-8"), inter(b"userID\titemID\tx_label\n\xff\t1\t0\n")),
    Bad("repeated row", TRAIN, ("repeats", "duplicates"), added("{first}\t0")),
    Bad("row in two splits", TRAIN, ("train", "test", "one split"), added("{first}\t2")),
    Bad("user with every item", TRAIN, ("user 30", "negative"), greedy),
    Bad("no valid rows", TRAIN, ("valid",), relabelled("1", "2")),
    Bad("no training rows", TRAIN, ("no training",), relabelled("0", "2")),
    Bad("NaN feature", TRAIN, ("image_feat.npy", "row 7", "NaN"), features(poisoned)),
    Bad("too few feature rows", TRAIN, ("image_feat.npy", "rows"), features(lambda x: x[:-3])),
    Bad("features in three axes", TRAIN, ("image_feat.npy", "shape"), features(lambda x: x[None])),
    Bad("truncated features", TRAIN, ("image_feat.npy", "truncated"), shortened("tiny", "image_feat.npy")),
    Bad("pickled features", TRAIN, ("image_feat.npy", "pickled"), features(lambda x: x.astype(object))),
    Bad("unknown modality", (*TRAIN, "--modalities", "smell"), ("smell", "image, text")),
    Bad("no modality for FREEDOM", FREEDOM, ("tiny", "no modality"), without_features),
    Bad("times that are not there", (*TRAIN, "--split", "global_time"), ("timestamp",)),
    Bad("an empty core", (*TRAIN, "--split", "per_user", "--core", "99"), ("99-core",)),
    Bad("a core without a split", (*TRAIN, "--core", "5"), ("core", "split")),
    Bad("an existing data folder", ("data", "convert", "tiny", "tiny"), ("tiny", "exists")),
    Bad("no mask", (*TRAIN, "--missing-mask", "none.npz"), ("none.npz", "does not exist")),
    Bad("mask that is none", (*TRAIN, "--missing-mask", "m.npz"), ("m.npz", "no mask"), mask("m.npz", "x")),
    Bad("mask table that is none", (*TRAIN, "--missing-mask", "m.tsv"), ("itemID",), mask("m.tsv", "a\tb\n0\t1\n")),
    Bad("mask of other items", (*TRAIN, "--missing-mask", "m.tsv"), ("24",), mask("m.tsv", "itemID\tt\n0\t1\n")),
    Bad("nothing to hide", (*TRAIN, "--missing-rate", "0.5"), ("tiny", "no modality"), without_features),
    Bad("describing nothing", ("data", "describe", "nowhere"), ("nowhere",)),
]
OPTIONS = [
    Bad("no such command", ("tran", "bpr"), ("tran", "train")),
    Bad("no such data command", ("data", "explain"), ("explain", "describe")),
    Bad("no such model", ("train", "lightgnc", *TRAIN[2:]), ("lightgnc", "lightgcn")),
    Bad("no model", ("train", *TRAIN[2:]), ("train MODEL",)),
    Bad("no data", ("train", "bpr"), ("--data",)),
    Bad("no such option", (*TRAIN, "--epoch-count", "3"), ("--epoch-count",)),
    Bad("another model's option", (*TRAIN, "--model.knn-k", "3"), ("--model.knn-k",)),
    Bad("option without a value", (*TRAIN, "--patience"), ("--patience",)),
    Bad("epochs that are no number", (*TRAIN, "--epochs", "many"), ("--epochs", "many")),
    Bad("no epochs", (*TRAIN, "--epochs", "0"), ("epochs is 0",)),
    Bad("empty batches", (*TRAIN, "--batch-size", "0"), ("batch_size is 0",)),
    Bad("learning rate 0", (*TRAIN, "--learning-rate", "0"), ("learning_rate is 0",)),
    Bad("learning rate NaN", (*TRAIN, "--learning-rate", "nan"), ("learning_rate is nan",)),
    Bad("negative patience", (*TRAIN, "--patience", "-1"), ("patience is -1",)),
    Bad("unknown monitor", (*TRAIN, "--monitor", "auc@5"), ("auc", "recall")),
    Bad("monitor without a rank", (*TRAIN, "--monitor", "recall"), ("recall@20",)),
    Bad("unknown sampler", (*TRAIN, "--sampler", "items"), ("sampler", "items", "pairs")),
    Bad("unknown regulariser", (*TRAIN, "--model.reg-form", "l1"), ("reg_form", "l1", "l2sq")),
    Bad("unknown normalisation", (*FREEDOM, "--model.knn-norm", "x"), ("knn_norm", "x", "uniform")),
    Bad("unknown split rule", (*TRAIN, "--split", "random"), ("split", "random", "per_user")),
    Bad("a missing rate above 1", (*TRAIN, "--missing-rate", "1.5"), ("missing rate is 1.5",)),
    Bad("unknown missing protocol", (*HALF, "--missing-protocol", "some"), ("some", "item_subset")),
    Bad("unknown modality hidden", (*HALF, "--missing-protocol", "single:smell"), ("smell", "image", "text")),
    Bad(
        "too much for a protocol",
        ("data", "missing", "tiny", "--rate", "0.7", "--protocol", "entry_protected"),
        ("0.7", "entry_protected", "0.5"),
    ),
    Bad("one kept where it means nothing", (*HALF, "--missing-keep-one"), ("keep_one", "per_modality")),
    Bad("a seed without a rate", (*TRAIN, "--missing-seed", "3"), ("--missing-seed", "--missing-rate")),
    Bad("mask and rate", (*HALF, "--missing-mask", "m.npz"), ("--missing-rate", "mask file")),
    Bad("unknown fill", (*HALF, "--impute", "median"), ("median", "mean")),
    Bad("fill without its number", (*HALF, "--impute", "neigh_mean"), ("neigh_mean:K",)),
    Bad(
        "a mask that exists",
        ("data", "missing", "tiny", "--rate", ".5", "--out", "m.npz"),
        ("m.npz exists", "--overwrite"),
        mask("m.npz", ""),
    ),
    Bad("mask of unknown ending", ("data", "missing", "tiny", "--out", "m.txt"), ("m.txt", ".npz")),
    Bad("audit of an unknown modality", (*AUDIT, "--knock-out", "smell"), ("'smell'", "image, text")),
    Bad("audit by an unknown way", (*AUDIT, "--ways", "shuffled"), ("shuffled", "permuted")),
    Bad("audit by one seed", (*AUDIT, "--seeds", "0"), ("seeds are [0]", "2 or more")),
    Bad("audit by a metric without a rank", (*AUDIT, "--metric", "recall"), ("recall@20",)),
    Bad("audit on an unknown split", (*AUDIT, "--on", "dev"), ("split", "dev", "valid")),
    Bad("audit of a model without features", (*AUDIT, "--model", "lightgcn"), ("lightgcn reads no modality",)),
    Bad("audit of an unknown model", (*AUDIT, "--model", "gpt"), ("gpt", "freedom")),
    Bad("audit with an unknown fill", (*AUDIT, "--impute", "median"), ("median", "mean")),
    Bad("audit of a bad model option", (*AUDIT, "--model.knn-k", "99"), ("99", "24")),
    Bad("audit of another model's option", (*AUDIT, "--model", "vbpr", "--model.knn-k", "9"), ("--model.knn-k",)),
    Bad("audit with a mask's seed alone", (*AUDIT, "--missing-seed", "3"), ("--missing-seed", "--missing-rate")),
    Bad("audit with steps of nothing", (*AUDIT, "--batch-size", "0"), ("batch_size", "0")),
    Bad("search of nothing", SEARCH, ("--over", "--grid")),
    Bad("search of everything", (*SEARCH, "--grid", "--over", "model.reg=1,2"), ("--over", "--grid")),
    Bad(
        "search for an unknown model", ("search", "gpt", "--data", "tiny", "--over", "model.reg=1"), ("gpt", "freedom")
    ),
    Bad("search over no option", (*SEARCH, "--over", "reg=1,2"), ("'reg'", "model.")),
    Bad("search over nothing to choose", (*SEARCH, "--over", "model.reg"), ("model.reg", "nothing to choose")),
    Bad("a grid over a range", (*SEARCH, "--over", "model.reg=0.1:0.2"), ("model.reg", "range")),
    Bad("random without a number", (*SEARCH, "--over", "model.reg=1:2", "--method", "random"), ("random", "by trials")),
    Bad("no trials", (*SEARCH, "--over", "model.reg=1:2", "--method", "random", "--trials", "0"), ("trials is 0",)),
    Bad("fixed and searched", (*SEARCH, "--over", "model.reg=1,2", "--fixed", "model.reg=1"), ("both searched",)),
    Bad("search over the metric", (*SEARCH, "--over", "config.monitor=recall@5,recall@10"), ("compared by",)),
    Bad("a split's seed alone", (*TRAIN, "--split-seed", "3"), ("--split-seed", "--split")),
    Bad("unknown method", (*SEARCH, "--over", "model.reg=0.1", "--method", "luck"), ("luck", "optuna")),
    Bad(
        "fixed to two values",
        (*SEARCH, "--over", "model.reg=1", "--fixed", "model.embed_dim=1,2"),
        ("--fixed", "--over"),
    ),
    Bad(
        "warm-up of the grid fixed",
        (*SEARCH, "--grid", "--fixed", "warmup.gap=0.1"),
        ("warmup.gap", "--mdvt.thresholds"),
    ),
    Bad("trials of a grid", (*SEARCH, "--grid", "--trials", "5"), ("--trials", "--over", "every cell")),
    Bad(
        "an option that the fixed warm-up does not read",
        (*SEARCH, "--over", "model.reg=1", "--fixed", "warmup.strategy=static", "warmup.gap=0.1"),
        ("warmup.gap changes nothing with warmup.strategy=static", "hybrid"),
    ),
    Bad("a metric of a search without a rank", (*SEARCH, "--grid", "--metric", "ndcg"), ("ndcg@20",)),
    Bad("a grid without λ", (*SEARCH, "--grid", "--mdvt.lams", "0.1", "0.1"), ("lams", "once")),
    Bad("report of nothing", ("report",), ("run",)),
    Bad("report of no run", ("report", "tiny"), ("tiny", "run.json")),
    Bad("unknown way with missing", (*TRAIN, "--missing", "zero"), ("missing", "zero", "nan")),
    Bad("more neighbours than items", (*FREEDOM, "--model.knn-k", "99"), ("99", "24")),
    Bad("all edges dropped", (*FREEDOM, "--model.edge-drop", "1"), ("edge_drop is 1",)),
    Bad("weight of no modality", (*FREEDOM, "--model.modal-weights", "smell=1"), ("smell", "image, text")),
    Bad("weight without a number", (*FREEDOM, "--model.modal-weights", "image"), ("--model.modal-weights", "image")),
    Bad("seeds backwards", (*TRAIN, "--seeds", "5:2"), ("seeds", "5:2")),
    Bad("seeds in words", (*TRAIN, "--seeds", "abc"), ("seeds", "abc")),
    Bad("a seed twice", (*TRAIN, "--seeds", "1,1"), ("seeds", "[1, 1]")),
    Bad("unknown warm-up", (*FREEDOM, "--warmup", "hot"), ("warmup", "hot", "hybrid")),
    Bad("MDVT without a warm-up", (*FREEDOM, "--mdvt.n", "4"), ("--mdvt.n", "--warmup")),
    Bad("a gap without a warm-up", (*FREEDOM, "--gap", "0.5"), ("--gap", "'none'", "does not read")),
    Bad("a span of a static warm-up", (*STATIC, "--span", "4"), ("--span", "'static'", "does not read")),
    Bad("lambda above 1", (*STATIC, "--mdvt.lam", "2"), ("lam is 2",)),
    Bad("no virtual items", (*STATIC, "--mdvt.n", "0"), ("n is 0",)),
    Bad("more virtual items than items", (*STATIC, "--mdvt.n", "60"), ("n is 60", "24 items")),
    Bad("batch pool for all users", (*STATIC, "--mdvt.item-pool", "batch"), ("item_pool", "users='batch'")),
    Bad(
        "similarity of a channel that is not there", (*STATIC, "--mdvt.variant.similarity", "smell"), ("'smell'", "id")
    ),
    Bad("threshold above 1", (*STATIC, "--mdvt.variant.tau", "7"), ("tau is 7",)),
    Bad("least number without a threshold", (*STATIC, "--mdvt.variant.n-min", "1"), ("n_min is 1", "tau")),
    Bad("AMR without AMR", (*FREEDOM, "--amr.eps", "0.2"), ("--amr.eps", "--adversarial")),
    Bad("AMR without features", (*TRAIN, "--adversarial"), ("BprMf reads no features",)),
    Bad(
        "AMR of an unknown modality",
        (*FREEDOM, "--adversarial", "--amr.modalities", "smell"),
        ("'smell'", "image, text"),
    ),
    Bad("negative threshold", (*STATIC, "--thresholds", "-3"), ("threshold",)),
    Bad("gap 0", (*STATIC, "--gap", "0"), ("gap is 0",)),
    Bad("negative span", (*STATIC, "--span", "-1"), ("span is -1",)),
    Bad("more interactions than items", ("data", "synthetic", "x", "--n-items", "10"), ("interactions_per_user",)),
    Bad("unknown split rule of split", ("data", "split", "tiny", "x", "--rule", "y"), ("'y'", "per_user")),
]
RUNS = [
    Bad("an existing run folder", (*TRAIN[:-7], "--out", "run"), ("run", "already holds a run")),
    Bad("resume of nothing", ("train", "--resume", "nowhere"), ("nowhere", "no run")),
    Bad("resume without a folder", (*TRAIN[:4], "--resume"), ("--out",)),
    Bad("resume of another model", ("train", "vbpr", "--data", "tiny", "--out", "run", "--resume"), ("another model",)),
    Bad("resume with other data", (*TRAIN[:5], "--out", "run", "--resume", "--modalities", "text"), ("another data",)),
    Bad("resume of damaged checkpoints", ("train", "--resume", "run"), ("checkpoint", "damaged"), damaged),
    Bad("resume of another record", ("train", "--resume", "run"), ("run.json",), recorded(config={"x": 1})),
    Bad("corrupted run.json", ("evaluate", "run"), ("run.json",), shortened("run", "run.json")),
    Bad("no run", ("evaluate", "tiny"), ("tiny", "run.json")),
    Bad("an unfinished run", ("evaluate", "run"), ("running", "--resume"), recorded(status="running")),
    Bad("edited parameters", ("evaluate", "run"), ("model.safetensors", "damaged"), flipped),
    Bad("truncated parameters", ("evaluate", "run"), ("cannot be read",), shortened("run", "model.safetensors")),
    Bad("other data than trained on", ("evaluate", "run", "--data", "synthetic"), ("digest",)),
    Bad("valid items masked on valid", ("evaluate", "run", "--split", "valid", "--mask", "train+valid"), ("mask",)),
    Bad("unknown split", ("evaluate", "run", "--split", "dev"), ("split", "dev", "valid")),
    Bad("unknown mask", ("evaluate", "run", "--mask", "all"), ("mask", "all", "train+valid")),
    Bad("unknown metric", ("evaluate", "run", "--metrics", "auc"), ("auc", "recall")),
    Bad("groups of a catalogue", ("evaluate", "run", "--metrics", "coverage", "--sparsity"), ("coverage", "recall")),
    Bad("data in place of the working directory", ("data", "synthetic", "."), ("holds it; name a new folder",)),
    Bad("K 0", ("evaluate", "run", "--ks", "0"), ("k is 0",)),
    Bad("K beyond the items", ("evaluate", "run", "--ks", "99"), ("k is 99",)),
    Bad("outcome of no search", ("evaluate", "run", "--strategy", "static"), ("static",)),
    Bad("table of unknown ending", ("evaluate", "run", "--out", "a.xls"), ("a.xls", ".csv")),
    Bad("a run reported twice", ("report", "run", "run"), ("twice",)),
    Bad("a report without a rank", ("report", "run", "--metrics", "ndcg"), ("ndcg@20",)),
    Bad("unknown spread", ("compare", "run", "run2", "--spread", "range"), ("range", "bootstrap"), other_data),
    Bad("one run compared", ("compare", "run"), ("two",)),
    Bad("a run compared with itself", ("compare", "run", "run"), ("two",)),
    Bad("runs of different data", ("compare", "run", "run2"), ("run2", "another data set"), other_data),
    Bad("metric without a rank", ("compare", "run", "run2", "--metrics", "ndcg"), ("ndcg@20",), other_data),
    Bad("Wilcoxon over both", ("compare", "run", "run2", "--method", "wilcoxon"), ("wilcoxon", "over users or")),
    Bad("unknown marks", ("report", "run", "--marks", "stars"), ("marks", "stars", "paper")),
    Bad("unknown test of a report", ("report", "run", "--method", "f"), ("method", "'f'", "wilcoxon")),
    Bad("tests over items", ("compare", "run", "run2", "--over", "items"), ("over", "items", "seeds")),
    Bad("unknown user", ("recommend", "run", "--users", "0,999"), ("999", "; --skip-unknown leaves them out")),
    Bad("unknown seed", ("recommend", "run", "--seed", "7", "--k", "2"), ("seed 7", "0, 1")),
    Bad("k beyond the items", ("recommend", "run", "--k", "99"), ("k is 99",)),
    Bad("unknown item", ("recommend", "run", "--items", "0,999"), ("no item '999'",)),
    Bad("only unknown users", ("recommend", "run", "--users", "x", "--skip-unknown"), ("no user 'x'",)),
    Bad("an empty list of items", ("recommend", "run", "--items", ""), ("nothing is named",)),
    Bad("no item", ("recommend", "run", "--items", "--k", "2"), ("nothing is named",)),
    Bad("no modality", (*TRAIN[:5], "--modalities", ""), ("nothing is named",)),
    Bad("two lists of items", ("recommend", "run", "--items", "1", "--items-file", "u"), ("--items-file",)),
    Bad("lists of unknown ending", ("recommend", "run", "--out", "a.txt"), ("a.txt", ".csv")),
    Bad("groups where nothing lacks", ("evaluate", "run", "--groups"), ("no item lacks a modality",)),
    Bad("two lists of users", ("recommend", "run", "--users", "1", "--users-file", "u"), ("--users-file",)),
    Bad("an empty list of users", ("recommend", "run", "--users-file", "u"), ("u is empty",), mask("u", "\n")),
    Bad("a run that diverged", ("evaluate", "run"), ("diverged", "lower learning rate"), recorded(status="diverged")),
    Bad("no list of users", ("recommend", "run", "--users-file", "u"), ("u does not exist",)),
]


@pytest.mark.parametrize("bad", FILES + OPTIONS + RUNS, ids=lambda bad: bad.name)
def test_one_sentence(bad: Bad, place: pathlib.Path, complaint: Callable[..., str]) -> None:
    bad.change(place)
    sentence = complaint(*bad.argv)
    assert [word for word in bad.words if word not in sentence] == [], sentence
    assert not (place / "new").exists(), "a run folder was left behind"


def test_there_are_forty() -> None:
    cases = FILES + OPTIONS + RUNS
    assert len({bad.name for bad in cases}) == len(cases) >= 40
