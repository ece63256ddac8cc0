"""The ledger: what the papers claim, what we find, made from the CSVs in results/ and nothing else.

    make ledger        # or: python experiments/ledger.py
It writes experiments/README.md. A claim whose file is not there is said to be open; a verdict is a rule over numbers:
"holds" where every difference that the claim is about is positive at p < .01, "partly" where some are, "does not" where
none is and the 95 % interval of one or more lies below zero, else "cannot be told": one seed, or too much chance.
"""

import ast
import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
Rows = list[dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    Attributes:
      where: in the paper. says: the claim, with its numbers. file: our CSV. ours: from its rows to (what we find,
        verdict). differs: between their protocol and ours.
    """

    where: str
    says: str
    file: str
    ours: Callable[[Rows], tuple[str, str]]
    differs: str


def read(name: str) -> Rows:
    """Rows of a result, none if it is not there."""
    path = RESULTS / name
    if not path.exists():
        return []
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def beyond(row: dict[str, str], gap: str, sign: str, level: float = 0.01) -> bool:
    """Whether a row with several seeds is better (`+`) or worse (`-`) than its base beyond chance."""
    return bool(row.get("p")) and row["seeds"] != "1" and float(row["p"]) < level and row[gap].startswith(sign)


def better(row: dict[str, str], gap: str = "minus_base") -> bool | None:
    """Whether a row is better than its base; None where that cannot be told."""
    return True if beyond(row, gap, "+") else False if beyond(row, gap, "-", 0.05) else None


def verdict(found: Sequence[bool | None]) -> str:
    """Of the differences that a claim is about.

    >>> verdict([True, True]), verdict([True, None]), verdict([None, False]), verdict([None]), verdict([])
    ('holds', 'partly', 'does not', 'cannot be told', 'open')
    """
    if not found:
        return "open"
    return "holds" if all(found) else "partly" if any(found) else "does not" if False in found else "cannot be told"


def warmups(data: str) -> Callable[[Rows], tuple[str, str]]:
    """Static, dynamic, hybrid against FREEDOM alone on one data set, Recall@10."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = [r for r in rows if (r["data"], r["model"], r["metric"]) == (data, "freedom", "recall@10")]
        by = {row["warmup"]: row for row in mine}
        if "none" not in by:
            return "", "open"
        told = [f"alone {float(by['none']['mean']):.4f} ({by['none']['low95'][:6]} to {by['none']['high95'][:6]})"]
        told += [f"{name} {float(row['mean']):.4f}" for name, row in by.items() if name != "none"]
        seeds = by["none"]["seeds"]
        gains = [better(row, "minus_backbone") for name, row in by.items() if name != "none"]
        told[0] = told[0].replace("(nan to nan)", "(no interval)")
        return f"R@10, {seeds} seed{'s' * (seeds != '1')}: {', '.join(told)}", verdict(gains)

    return ours


def strategies(data: str, model: str) -> Callable[[Rows], tuple[str, str]]:
    """All warm-ups against the backbone in an MDVT table of ours, Recall@10."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = [r for r in rows if (r["data"], r["model"], r["metric"]) == (data, model, "recall@10")]
        gaps = [f" ({r['diff_low95']} to {r['diff_high95']})" if r["p"] else "" for r in mine]
        told = [f"{r['row']} {float(r['mean']):.4f}{gap}" for r, gap in zip(mine, gaps, strict=True)]
        said = f"R@10, {mine[0]['seeds']} seeds: {', '.join(told)}" if mine else ""
        return said, verdict([better(r) for r in mine if r["row"] != "backbone"])

    return ours


def above_lightgcn(rows: Rows) -> tuple[str, str]:
    """Trained models that are better and worse than LightGCN, training items masked, and those below popularity."""
    mine = [r for r in rows if r["metric"] == "recall@20" and r["mask"] == "train"]
    told = []
    for data in dict.fromkeys(r["data"] for r in mine):
        least = max((float(r["mean"]) for r in mine if r["data"] == data and r["model"] == "popularity"), default=0.0)
        here = [r for r in mine if r["data"] == data and r["model"] != "popularity" and "kNN" not in r["model"]]
        good = [r["model"] for r in here if beyond(r, "minus_lightgcn", "+")]
        bad = [r["model"] for r in here if beyond(r, "minus_lightgcn", "-")]
        under = [r["model"] for r in here if float(r["mean"]) < least]
        words = ("better", good), ("worse", bad), ("below popularity", under)
        counted = [f"{word} {', '.join(names)}" for word, names in words if names]
        told.append(f"{data}, {len(here)} models: {'; '.join(counted) or 'none told apart'}")
    return "R@20 against LightGCN at p < .01: " + ". ".join(told), "no claim"


def first_of_all(rows: Rows) -> tuple[str, str]:
    """CI²MG against the best other row of Table 2 in ours with 90 % missing, Recall@20; decided by all eleven rows."""
    told, found = [], []
    rows = [r for r in rows if r["metric"] == "recall@20" and float(r["rate"]) == 0.9]
    for data in dict.fromkeys(r["data"] for r in rows):
        ours, *others = sorted((r for r in rows if r["data"] == data), key=lambda r: r["model"] != "CI2MG")
        if ours["model"] == "CI2MG" and others:
            best = max(others, key=lambda r: float(r["mean"]))
            told.append(f"{data}: CI²MG {float(ours['mean']):.4f}, {best['model']} {float(best['mean']):.4f}, best of "
                        f"{len(others)} others")  # fmt: skip
            above, below = float(ours["low95"]) > float(best["high95"]), float(ours["high95"]) < float(best["low95"])
            found.append(False if below else True if above and len(others) == 10 else None)
    return "; ".join(told), verdict(found)


OURS = "selected on valid, thresholds too; features and sets that can be had"
CLAIMS = (
    Claim("MDVT, Table 2", "every warm-up helps FREEDOM on TikTok (R@10 .0589; .0629, .0622, .0629)",
          "warmup_strategies.csv", warmups("tiktok"), f"{OURS}: image and audio; s 1, T 20; mined once an epoch"),
    Claim("MDVT, Table 2", "every warm-up helps FREEDOM on Baby (R@10 .0627; .0652, .0648, .0662)",
          "warmup_strategies.csv", warmups("amazon_baby"), f"{OURS}; s 1, T 20; mined once an epoch; one seed"),
    Claim("MDVT, Table 2", "the same on a data set that the paper does not have, Last.fm-2K",
          "warmup_strategies.csv", warmups("lfm2k"), f"{OURS}; s 1, T 5 and 20; mined every batch"),
    *(Claim("MDVT, Table 2", f"every warm-up helps {model} on TikTok", "mdvt_table2.csv",
            strategies("tiktok", model.lower()), f"{OURS}: image and audio")
      for model in ("MMGCN", "SLMRec", "DRAGON", "LGMRec", "MMSSL")),
    Claim("MDVT, Table 2", "the same for FREEDOM with s 2 and all six thresholds", "mdvt_table2.csv",
          strategies("tiktok", "freedom"), f"{OURS}: image and audio"),
    Claim("CI²MG, Table 2", "best of eleven models with 90 % missing", "ci2mg_table2.csv", first_of_all,
          "Last.fm-2K, TikTok without text; 90 % of items lose some modalities; all rows trained by us"),
    Claim("none", "every backbone with its defaults beside LightGCN and popularity", "baselines.csv", above_lightgcn,
          "default settings"),
)  # fmt: skip


def scripts() -> list[str]:
    """A line for each script: what its docstring says first, and its results if there are any."""
    lines = []
    for path in [*sorted(HERE.glob("*.py")), *sorted(HERE.glob("*/*.py"))]:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if "python experiments/" not in text or path.name == "ledger.py":
            continue
        alone = path.parent == HERE or path.stem == "warmup_strategies"
        stem = path.stem if alone else f"{path.parent.name}_{path.stem}"
        page = RESULTS / f"{stem}.md"
        result = f"[{page.name}](results/{page.name})" if page.exists() else "not run yet"
        lines.append(f"| `{path.relative_to(HERE)}` | {' '.join(text.split(chr(10) * 2)[0].split())} | {result} |")
    return lines


def ledger() -> str:
    """The whole page."""
    lines = [
        "# Experiments",
        "",
        "One file for each thing that is reproduced; its docstring says what, with which command and settings, in what",
        "time, and what to expect. Results are committed as CSV and Markdown in `results/`, with command, commit,",
        "versions, seeds and machine kind. Data sets are not part of the project: `--data` (or `JMMREC_DATA`) names",
        "a folder with one for each, in any layout that `jmmrec.load` reads. This page is written by `make ledger`",
        "from those CSVs.",
        "",
        "## What the papers claim, and what we find",
        "",
        "| claim | says | ours | what differs | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    for claim in CLAIMS:
        rows = read(claim.file)
        told, found = claim.ours(rows) if rows else ("", "open")
        lines.append(f"| {claim.where} | {claim.says} | {told or 'not run yet'} | {claim.differs} | {found} |")
    lines += ["", "## Scripts", "", "| script | what | results |", "| --- | --- | --- |", *scripts()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the page."""
    (HERE / "README.md").write_text(ledger(), encoding="utf-8")
    print(f"wrote {HERE / 'README.md'}")


if __name__ == "__main__":
    main()
