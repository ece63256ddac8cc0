"""A backbone in a file of one's own, by its name: on the command line, in run folders, in the experiments."""

import csv
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import jmmrec
from experiments import baselines, below_lightgcn, shelf
from experiments.ci2mg import study, table2
from experiments.mdvt import grid, table3
from experiments.mdvt import study as mdvt
from experiments.mdvt import table2 as six
from jmmrec.cli import main
from jmmrec.data import SyntheticConfig, save, synthesize
from jmmrec.errors import CheckpointError, ConfigError
from jmmrec.models import LightGcn, make
from jmmrec.train.record import RunFolder
from jmmrec.tuning import Grid, mdvt_grid

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
SHORT = ("--epochs", "2", "--batch-size", "64", "--quiet", "--model.embed-dim", "4")


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with a data set, and the backbone of the page in a file of its own."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "mine.py").write_text(code)
    config = SyntheticConfig(n_users=40, n_items=30, interactions_per_user=8, name="shop")
    save(synthesize(config).dataset.select("image"), tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_on_the_command_line(place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "mine.py:Mine", "--data", "shop", *SHORT, "--warmup", "dynamic"]) == 0
    run = place / "runs" / "shop-Mine-1"
    record = json.loads((run / "run.json").read_text())
    assert (record["model"]["name"], record["model_class"]) == ("Mine", f"{place / 'mine.py'}:Mine")
    said = capsys.readouterr().out
    assert "Mine+mdvt" in said
    assert main(["train", "--resume", str(run), "--epochs", "3", "--quiet"]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["recommend", str(run), "--k", "2", "--out", "lists.csv"]) == 0
    assert jmmrec.open_run(run).model.backbone == make("mine.py:Mine", embed_dim=4)
    over = ["--over", "model.embed_dim=2,4", "--fixed", "config.epochs=1", "--quiet"]
    assert main(["search", "mine.py:Mine", "--data", "shop", *over]) == 0
    assert "runs/shop-Mine-search/trial-000" in capsys.readouterr().out
    assert main(["data", "audit-modalities", "shop", "--model", "mine.py:Mine", "--epochs", "1", "--seeds", "0:2",
                 "--ways", "permuted", "--model.embed-dim", "4", "--quiet"]) == 0  # fmt: skip


def test_a_run_whose_file_is_gone(place: pathlib.Path) -> None:
    jmmrec.fit("mine.py:Mine", "shop", epochs=1, out="run", quiet=True)
    RunFolder("run").update(model_class="gone.py:Mine")
    with pytest.raises(ConfigError, match=r"'Mine' is gone: there is no gone.py; .*; or open the run from Python"):
        jmmrec.open_run("run")
    model = make("mine.py:Mine")
    assert jmmrec.open_run("run", model=model).model == model


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine.py:Yours", "mine.py has no class 'Yours'; it has Mine"),
        ("yours.py:Mine", "there is no yours.py; name the file that holds your backbone, as FILE.py:CLASS"),
        ("no.such:Mine", "no.such cannot be loaded: ModuleNotFoundError: No module named 'no'"),
        ("broken.py:Mine", r"broken.py cannot be loaded: ZeroDivisionError: division by zero, line 2"),
        ("half.py:Half", "half.py:Half is no backbone: it has no loss"),
        ("half.py:Plain", "half.py:Plain is no backbone: it is no dataclass"),
        ("half.py:Wanting", "half.py:Wanting: option depth has no default"),
        ("half.py:Thawed", "Thawed cannot be static under jit"),
        ("half.py:Duck", "half.py:Duck is no backbone: it is no subclass of jmmrec.models.Backbone"),
        ("half.py:bpr", "a backbone of the library is called bpr; give the class another name"),
        ("half.py", "half.py is a file; name the class in it as well, half.py:CLASS"),
        (":Mine", "there is nothing before the colon"),
        ("lost.py:Mine", r"lost.py cannot be loaded: FileNotFoundError: .*weights.txt.*, line 1"),
        (
            "pack/part.py:Mine",
            r"part.py cannot be loaded: ModuleNotFoundError: .*a file of a package is called PACKAGE",
        ),
    ],
)
def test_names_that_lead_nowhere(
    name: str, words: str, place: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "broken.py").write_text("import jax\n1 / 0\n")
    (place / "half.py").write_text(
        "import dataclasses\nfrom jmmrec.models import Backbone, LightGcn\n"
        "class Plain(Backbone):\n    prepare = init = encode = loss = lambda self: None\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Half(Backbone):\n    prepare = init = encode = lambda self: None\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Wanting(Plain):\n    depth: int\n"
        "@dataclasses.dataclass\n"
        "class Thawed(LightGcn.__mro__[1]):\n    prepare = init = encode = loss = lambda self: None\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Duck:\n    prepare = init = encode = loss = lambda self: None\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class bpr(LightGcn):\n    pass\n"
    )
    (place / "lost.py").write_text("open('weights.txt')\n")
    (place / "pack").mkdir()
    (place / "pack" / "__init__.py").touch()
    (place / "pack" / "part.py").write_text("from .other import Mine\n")
    with pytest.raises(ConfigError, match=words):
        make(name)
    assert main(["train", name, "--data", "shop"]) == 2
    assert re.search(words, capsys.readouterr().err)


def test_a_file_that_was_edited_is_read_again(place: pathlib.Path) -> None:
    before = make("mine.py:Mine")
    assert make("mine.py:Mine") == before
    file = place / "mine.py"
    file.write_text(file.read_text().replace("embed_dim: int = 64", "embed_dim: int = 32"))
    os.utime(file, (1, 1))  # however coarse the clock is
    assert make("mine.py:Mine").embed_dim == 32


GROUPS = """
from helpers import LightGcn
import dataclasses

@dataclasses.dataclass(frozen=True)
class Inner:
    depth: int = 1
    widths: tuple[int, ...] = (4,)

@dataclasses.dataclass(frozen=True)
class Nest(LightGcn):
    inner: Inner = Inner(depth=3)

    def prepare(self, data):
        assert isinstance(self.inner, Inner)
        print("depth", self.inner.depth)
        return super().prepare(data)
"""


def test_groups_of_options_and_files_beside_it(place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "nest.py").write_text(GROUPS)
    (place / "helpers.py").write_text("from jmmrec.models import LightGcn\n")
    assert make("nest.py:Nest", inner={"widths": (2, 2)}).inner.depth == 3
    for said, depth in (([], 3), (["--model.inner.depth", "2"], 2)):
        command = ["train", "nest.py:Nest", "--data", "shop", *SHORT, "--out", f"run{depth}", *said]
        assert main(command) == 0 and f"depth {depth}" in capsys.readouterr().out
        assert main(["evaluate", f"run{depth}"]) == 0 and f"depth {depth}" in capsys.readouterr().out
        assert main(["train", "--resume", f"run{depth}", "--quiet"]) == 0


def test_a_run_and_other_code_than_it_was_trained_with(place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "mine.py:Mine", "--data", "shop", *SHORT, "--out", "run"]) == 0
    file, before = place / "mine.py", (place / "mine.py").read_text()
    (place / "moved.py").write_text("# moved\n" + before)
    file.write_text(before.replace('params["item"], 2)', 'params["item"], 3)'))
    os.utime(file, (1, 1))
    again = [*SHORT, "--out", "run", "--resume", "--data", "shop"]
    for command, words in (
        (["evaluate", "run"], "mine.py:Mine has changed since the run was trained with it; restore it"),
        (["train", "--resume", "run"], "mine.py:Mine has changed since"),
        (["train", "mine.py:Mine", *again], "started with another version of .*mine.py:Mine; restore it"),
    ):
        assert main(command) == 2 and re.search(words, capsys.readouterr().err)
    assert main(["train", "moved.py:Mine", *again]) == 0  # the same code elsewhere
    assert main(["evaluate", "run"]) == 0


def test_searches_of_other_code_are_not_continued(place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["search", "mine.py:Mine", "--data", "shop", "--over", "config.learning_rate=0.01", "--out", "found"]
    command += ["--fixed", "config.epochs=1", "--quiet"]
    assert main(command) == 0
    small = Grid(lams=(0.2,), ns=(1,), thresholds=(0,), gaps=(), spans=())
    options: dict = {"config": {"epochs": 1}, "out": "grid"}
    mdvt_grid(make("mine.py:Mine"), "shop", small, **options)
    file = place / "mine.py"
    file.write_text(file.read_text().replace('params["item"], 2)', 'params["item"], 3)'))
    os.utime(file, (1, 1))
    assert main(command) == 2 and "search.json is of a search with another code" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match=r"grid\.json is of another grid, model, code"):
        mdvt_grid(make("mine.py:Mine"), "shop", small, **options)


def test_a_class_that_can_be_imported_is_found_again(place: pathlib.Path) -> None:
    assert type(make("jmmrec.models.lightgcn:LightGcn")) is LightGcn


def rows(file: pathlib.Path) -> list[dict[str, str]]:
    """A table of results."""
    with open(file, encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_in_the_experiments_on_data_of_ones_own(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = place / "results"
    for script in (study, mdvt, baselines, grid):
        monkeypatch.setattr(script, "RESULTS", results)
    command = ["--data", "shop", "--runs", "runs", "--seeds", "0:1", "--models"]
    six.run([*command, "mine.py:Mine", "--epochs", "2", "--jobs", "1"])  # in a process of its own
    found = rows(results / "mdvt_table2.csv")
    assert {(row["data"], row["model"]) for row in found} == {("shop", "Mine")}
    assert [row["row"] for row in found[::4]] == ["backbone", "+MDVT (S)", "+MDVT (D)", "+MDVT (H)"]
    assert "## shop, Mine\n\n39 users; all its modalities;" in (results / "mdvt_table2.md").read_text()
    assert len(list((place / "runs").rglob("shop-Mine-*-mdvt-epoch-2epochs-seed0"))) == 1
    masks = ["--protocol", "same_items", "--epochs", "1", "--jobs", "0"]
    table2.run([*command, "mine.py:Mine", "LightGCN", *masks])
    assert list(dict.fromkeys(row["model"] for row in rows(results / "ci2mg_table2_same_items0.csv"))) == [
        "LightGCN",
        "Mine",
    ]
    grid.run([*command, "mine.py:Mine", "--epochs", "1", "--lams", "0.2", "--ns", "1", "--jobs", "0"])
    assert {row["model"] for row in rows(results / "mdvt_grid.csv")} == {"Mine"}
    baselines.main([*command[:-1], "--models", "mine.py:Mine", "--jobs", "0"])
    assert {row["model"].partition(",")[0] for row in rows(results / "baselines.csv")} == {
        "popularity", "item-kNN", "Mine"
    }  # fmt: skip
    with pytest.raises(SystemExit, match="add those of shop to DATA"):
        table3.run([*command, "mine.py:Mine", "--epochs", "1", "--jobs", "0"])


def test_other_code_and_other_data_are_other_runs(place: pathlib.Path) -> None:
    before, where = shelf.filed("mine.py:Mine"), shelf.runs_of("runs", str(place), ["shop"])
    file = place / "mine.py"
    file.write_text("# a remark\n" + file.read_text())
    os.utime(file, (1, 1))
    assert shelf.filed("mine.py:Mine") == before  # its layout is not its code
    file.write_text(file.read_text().replace("item, 2)", "item, 3)").replace('params["item"], 2', 'params["item"], 3'))
    os.utime(file, (2, 2))
    assert shelf.filed("mine.py:Mine") != before
    os.utime(next((place / "shop").iterdir()), (3, 3))
    assert shelf.runs_of("runs", str(place), ["shop"]) != where
    assert shelf.runs_of("runs", str(place), ["tiktok"]) == "runs"


def test_what_the_experiments_refuse(place: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for script, name, words in (
        (six.run, "mine.py:Yours", "mine.py has no class 'Yours'"),
        (six.run, "mine", "there is no 'mine' here; there are bpr, vbpr"),
        (below_lightgcn.main, "mine.py:Mine", "there is no 'mine.py:Mine' here"),
    ):
        with pytest.raises(SystemExit):
            script(["--data", "shop", "--models", name])
        assert words in capsys.readouterr().err
    (place / "clash.py").write_text((place / "mine.py").read_text().replace("Mine", "LightGCN"))
    for arguments, words in (
        (["--data", "shop", "--models", "clash.py:LightGCN"], "there is a row LightGCN already"),
        (["--data", "shop", "--only", "tiktok"], "--data shop is one data set, of which --only tiktok is none"),
        (["--data", "nowhere", "--only", "tiktok", "--jobs", "0"], "does not exist.* --data names a folder with lfm2k"),
    ):
        with pytest.raises(SystemExit, match=words):
            table2.run(arguments)


SCRIPT = """
import jmmrec
from jmmrec.models import LightGcn

class Mine(LightGcn):
    def encode(self, *args, **how):
        return super().encode(*args, **how)  # 1

epochs = {epochs}
jmmrec.fit(Mine(embed_dim=4), "shop", epochs=epochs, out="run", resume=epochs > 1, quiet=True)
"""


def test_a_class_of_a_script_that_runs_is_known_by_its_code(place: pathlib.Path) -> None:
    def run(epochs: int, old: str = "", new: str = "") -> str:
        (place / "script.py").write_text(SCRIPT.format(epochs=epochs).replace(old or new, new))
        env = os.environ | {"PYTHONPATH": str(PAGE.parents[1])}
        return subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, env=env).stderr

    assert "Error" not in run(1)
    record = json.loads((place / "run" / "run.json").read_text())
    assert record["model_source"] and "model_class" not in record
    assert "Error" not in run(2, "# 1", "# one")  # another script, but the class is the same
    assert "run was started with another version of Mine; restore it" in run(3, "how", "other")
