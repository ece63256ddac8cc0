"""`jmmrec report`: every file, and the page as a browser shows it."""

import shutil
import subprocess

import pytest

import jmmrec
from jmmrec.cli.main import main
from jmmrec.data import SyntheticConfig, synthesize
from jmmrec.summary import write_summary
from tests.endtoend.page import faults

pytest.importorskip("matplotlib", reason="needs the extra `plot`")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data = synthesize(SyntheticConfig(n_users=60, n_items=50, interactions_per_user=8)).dataset
    jmmrec.save(data, folder / "toy")
    for name, reg in (("a", 0.0), ("b", 0.5)):
        jmmrec.fit(
            jmmrec.BprMf(embed_dim=4, reg=reg), folder / "toy", seeds=(0, 1), epochs=3, batch_size=64,
            learning_rate=0.02, out=folder / name, quiet=True,
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def sound(runs, tmp_path_factory) -> str:
    """A page without faults."""
    folder = tmp_path_factory.mktemp("page")
    return write_summary({name: jmmrec.open_run(runs / name) for name in ("a", "b")}, folder)[0].read_text()


def test_report_from_the_command_line(runs, tmp_path, capsys) -> None:
    assert main(["report", str(runs / "a"), str(runs / "b"), "--out", str(tmp_path), "--title", "Two <runs>"]) == 0
    names = {"report.html", *(f"{s}.{e}" for s in ("test", "valid") for e in ("md", "csv", "tex")),
             *(f"{f}.{e}" for f in ("history", "sparsity") for e in ("png", "svg"))}  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "report.html" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert "<h1>Two &lt;runs&gt;</h1>" in page and page.count("<figure") == page.count("<svg") == 2
    assert faults(page) == []
    evaluated = jmmrec.open_run(runs / "b").evaluate(ks=(20,), metrics=("recall",)).mean["recall@20"]
    assert f"{evaluated:.4f}" in page and f"{evaluated:.4f}" in (tmp_path / "test.tex").read_text()
    assert "masked: train" in page and "seeds: 0:2" in page and "data digest" in page


def test_a_report_tests_as_it_is_told(runs, tmp_path) -> None:
    options = ["--over", "users", "--method", "wilcoxon", "--spread", "bootstrap", "--marks", "paper"]
    assert main(["report", str(runs / "a"), str(runs / "b"), "--out", str(tmp_path), *options]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "better than a, p &lt; 0.01: paired Wilcoxon test over 60 users" in page
    assert "bootstrap interval over users and seeds" in page and page.count("<summary>Differences to a</summary>") == 2
    assert "recall@20_diff_low" in (tmp_path / "test.csv").read_text()


def test_a_result_in_memory_is_reported_too(tmp_path) -> None:
    result = jmmrec.fit("bpr", "synthetic", epochs=1, quiet=True)
    assert write_summary({"alone": result}, tmp_path, metrics=("ndcg@10",))[0].name == "report.html"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("<section>", "<section><div>", "closes what is not open"),
        ("</table>", "", "closes what is not open"),
        ("</body></html>", "</body>", "<html> is never closed"),
        ("</h1>", "</h1><script>f(</script>", "<script> acts or loads"),
        ("<h1>", '<h1 onclick="f()">', "is a script"),
        ("</h1>", '</h1><img src="shot.png">', "is beside the page"),
        ("</style>", "@import 'x.css'</style>", "a style is imported"),
        ("</style>", "p { background: url(https://x.org/y.png) }</style>", "is beside the page"),
        ("</h1>", '</h1><a href="#nowhere">x</a>', "#nowhere is nowhere"),
        ("<h1>", '<h1 id="a"><b id="a"></b>', "stands twice"),
        ("<td>", "<td></td><td>", "a table has rows of"),
        ("<svg ", "<svg bad ", "a figure is no XML"),
        ("<!doctype html>", "", "no doctype"),
    ],
)
def test_the_check_sees_what_is_wrong_with_a_page(sound, before: str, after: str, told: str) -> None:
    assert before in sound and faults(sound) == []
    assert any(told in fault for fault in faults(sound.replace(before, after, 1)))


# How many pictures a browser drew, and how many it could not.
COUNT = """<script>
const seen = [...document.querySelectorAll("figure svg, img")];
const drawn = seen.filter(x => x.getBoundingClientRect().height > 50 && x.naturalWidth !== 0);
document.title = `drawn ${drawn.length} of ${seen.length}`;
</script></body>"""


def browsed(page: str, folder) -> tuple[str, str]:
    """(what a browser's console says, its count of pictures) of a page."""
    assert BROWSER is not None
    (folder / "page.html").write_text(page.replace("</body>", COUNT))
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", *quiet]
    command += [f"--user-data-dir={folder / 'profile'}", "--dump-dom", (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return said, done.stdout.partition("<title>")[2].partition("</title>")[0]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_complaint(sound, tmp_path) -> None:
    assert browsed(sound, tmp_path) == ("", "drawn 2 of 2")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_sees_what_is_wrong_with_a_page(sound, tmp_path) -> None:
    assert "SyntaxError" in browsed(sound.replace("</h1>", "</h1><script>f(</script>"), tmp_path)[0]
    assert browsed(sound.replace("</h1>", '</h1><img src="shot.png" height=99>'), tmp_path)[1] == "drawn 2 of 3"
    assert browsed(sound.replace("<figure", "<figure hidden", 1), tmp_path)[1] == "drawn 1 of 2"
