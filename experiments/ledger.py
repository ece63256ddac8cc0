"""The ledger: what the papers claim, what we find, made from the CSVs in results/ and nothing else.

    make ledger        # or: python experiments/ledger.py
It writes experiments/README.md. A claim whose file is not there is said to be open; a verdict is a rule over numbers:
"holds" where every difference that the claim is about goes its way at p < .01, "partly" where some do, "does not" where
none does and the 95 % interval of one or more lies on the other side of zero, else "cannot be told": one seed, or too
much chance.
"""

import ast
import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
    """Whether a row with several seeds is better (`+`) or worse (`-`) than another one beyond chance."""
    p = row.get("p_other" if gap == "minus_other" else "p")
    return bool(p) and row["seeds"] != "1" and float(p) < level and row[gap].startswith(sign)


def better(row: dict[str, str], gap: str = "minus_base", sign: str = "+") -> bool | None:
    """Whether a row is better (`-`: worse) than another one; None where that cannot be told."""
    other = "-" if sign == "+" else "+"
    return True if beyond(row, gap, sign) else False if beyond(row, gap, other, 0.05) else None


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


def differences(
    data: str,
    model: str,
    about: Callable[[str], bool] = lambda label: label != "backbone",
    gap: str = "minus_base",
    sign: str = "+",
    metric: str = "recall@10",
) -> Callable[[Rows], tuple[str, str]]:
    """Rows of a table of ours `about` which it is claimed that they are better (`-`: worse) than another one."""
    low, high = ("diff_low95", "diff_high95") if gap == "minus_base" else ("other_low95", "other_high95")

    def ours(rows: Rows) -> tuple[str, str]:
        mine = {r["row"]: r for r in rows if (r["data"], r["model"], r["metric"]) == (data, model, metric)}
        found = {label: row for label, row in mine.items() if about(label)}
        if not found:
            return "", "open"
        others = dict.fromkeys("backbone" if gap == "minus_base" else row["other"] for row in found.values())
        told = [f"{other} {float(mine[other]['mean']):.4f}" for other in others if other in mine]
        gaps = [f" ({row[low]} to {row[high]})" if row[low] else "" for row in found.values()]
        told += [
            f"{label} {float(row['mean']):.4f}{more}" for (label, row), more in zip(found.items(), gaps, strict=True)
        ]
        seeds = next(iter(found.values()))["seeds"]
        name = metric.replace("recall", "R").replace("ndcg", "N")
        said = f"{name}, {seeds} seed{'s' * (seeds != '1')}: {', '.join(told)}"
        return said, verdict([better(row, gap, sign) for row in found.values()])

    return ours


def fewest(data: str) -> Callable[[Rows], tuple[str, str]]:
    """What each warm-up adds for FREEDOM's users with the fewest training items, Recall@10."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = [row for row in rows if (row["data"], row["model"]) == (data, "freedom")]
        mine = [row for row in mine if row["training_items"] == mine[0]["training_items"]]
        gains = [row for row in mine if row["p"]]
        if not gains:
            return "", "open"
        group = f"R@10 of {mine[0]['users']} users with {mine[0]['training_items']}, {mine[0]['seeds']} seeds"
        told = [f"{row['row']} {row['recall@10']} ({row['diff_low95']} to {row['diff_high95']})" for row in gains]
        said = f"{group}: {mine[0]['row']} {mine[0]['recall@10']}, {', '.join(told)}"
        return said, verdict([better(row) for row in gains])

    return ours


def sooner(data: str) -> Callable[[Rows], tuple[str, str]]:
    """Best epochs of FREEDOM alone and with each warm-up: holds where every seed's is earlier."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = [row for row in rows if (row["data"], row["model"], row["metric"]) == (data, "freedom", "recall@10")]
        if not mine:
            return "", "open"
        best = {row["row"]: [int(epoch) for epoch in row["best_epoch"].split()] for row in mine}
        alone = best.pop("backbone")
        fewer = [[epoch < base for epoch, base in zip(one, alone, strict=True)] for one in best.values()]
        found = [True if all(one) else False if not any(one) else None for one in fewer]
        told = [f"{label} {' '.join(map(str, epochs))}" for label, epochs in {"alone": alone, **best}.items()]
        return f"best epoch of each seed: {', '.join(told)}", verdict(found if len(alone) > 1 else [None])

    return ours


def ladder(data: str) -> Callable[[Rows], tuple[str, str]]:
    """CI²MG's parts, each against the row before it, 90 % missing."""

    def ours(rows: Rows) -> tuple[str, str]:
        kept = [row | {"row": row["model"], "model": ""} for row in rows if float(row["rate"]) == 0.9]
        return differences(data, "", lambda label: label.startswith(("+", "CI2MG")), "minus_other", "+", "recall@20")(
            kept
        )

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


def first_of_all(others: int, rates: Sequence[float] = (0.9,)) -> Callable[[Rows], tuple[str, str]]:
    """CI²MG against the best of so many others at these rates, Recall@20; decided where all of them are there."""

    def ours(rows: Rows) -> tuple[str, str]:
        told, found = [], []
        rows = [r for r in rows if r["metric"] == "recall@20" and float(r["rate"]) in rates]
        for data, rate in dict.fromkeys((r["data"], r["rate"]) for r in rows):
            here = [r for r in rows if (r["data"], r["rate"]) == (data, rate)]
            mine, *rest = sorted(here, key=lambda r: r["model"] != "CI2MG")
            if mine["model"] == "CI2MG" and rest:
                best = max(rest, key=lambda r: float(r["mean"]))
                told.append(f"{data}, {100 * float(rate):.0f} %: CI²MG {float(mine['mean']):.4f}, {best['model']} "
                            f"{float(best['mean']):.4f}, best of {len(rest)} others")  # fmt: skip
                above = float(mine["low95"]) > float(best["high95"])
                below = float(mine["high95"]) < float(best["low95"])
                found.append(False if below else True if above and len(rest) == others else None)
        return "; ".join(told), verdict(found)

    return ours


def audits(rows: Rows) -> tuple[str, str]:
    """Draws of the modality audit with every verdict right."""
    right = [all(r["right"] == "True" for r in rows if r["draw"] == n) for n in dict.fromkeys(r["draw"] for r in rows)]
    return f"{sum(right)} of {len(right)} draws, {rows[0]['seeds']} seeds", verdict([sum(right) >= 0.95 * len(right)])


OURS = "selected on valid, thresholds too; features and sets that can be had"
SETS = ("lfm2k", "tiktok")


def studies(data: str) -> list[Claim]:
    """What MDVT's other tables and figures say, about FREEDOM (Table 4: LGMRec) on one data set."""

    def claim(where: str, says: str, file: str, *about: Any, model: str = "freedom") -> Claim:
        return Claim(f"MDVT, {where}", f"{says} ({data})", f"mdvt_{file}.csv", differences(data, model, *about), OURS)

    other, ndcg = "minus_other", "ndcg@10"
    return [
        claim("Figure 2", "without aggregation or scaling it is worse", "fig3",
              lambda r: r.startswith("w/o"), other, "-"),
        claim("Table 3", "similarity from some channels is worse than from all", "table3",
              lambda r: r.startswith("MDVT_") and r not in ("MDVT_F1", "MDVT_F2"), other, "-"),
        claim("Table 3", "choice by frequency alone (F1) hurts", "table3", lambda r: r == "MDVT_F1", "minus_base", "-"),
        claim("Table 3", "frequency among similar items (F2) is worse than similarity", "table3",
              lambda r: r == "MDVT_F2", other, "-"),
        claim("Table 4", "AMR adds to MDVT on LGMRec", "table4", lambda r: r == "+M+A", other, model="lgmrec"),
        claim("Table 5", "g of .3 and more is worse than .1", "table5",
              lambda r: r.partition("=")[2] in ("0.3", "0.4", "0.5"), other, "-"),
        Claim("MDVT, Figure 4", f"users with the fewest training items gain ({data})", "mdvt_fig4_groups.csv",
              fewest(data), OURS),
        Claim("MDVT, Figure 5", f"training converges in fewer epochs ({data})", "mdvt_fig5.csv", sooner(data), OURS),
        claim("Tables 6, 7", "a threshold in place of n is worse than MDVT", "table6_7",
              lambda r: "w/o" in r, other, "-", ndcg),
        claim("Tables 6, 7", "MDVT+ is better than MDVT", "table6_7",
              lambda r: r.startswith("MDVT+"), other, "+", ndcg),
        claim("Figure 7", "λ of .2 is best", "fig7_8", lambda r: r.startswith("λ") and r != "λ = 0.2", other, "-"),
        claim("Figure 8", "n of 2 is best", "fig7_8", lambda r: r.startswith("n") and r != "n = 2", other, "-"),
        claim("Figure 9", "a span of 1 is worse than 2", "fig9", lambda r: r == "s = 1", other, "-"),
    ]  # fmt: skip


CLAIMS = (
    Claim("MDVT, Table 2", "every warm-up helps FREEDOM on TikTok (R@10 .0589; .0629, .0622, .0629)",
          "warmup_strategies.csv", warmups("tiktok"), f"{OURS}: image and audio; s 1, T 20; mined once an epoch"),
    Claim("MDVT, Table 2", "every warm-up helps FREEDOM on Baby (R@10 .0627; .0652, .0648, .0662)",
          "warmup_strategies.csv", warmups("amazon_baby"), f"{OURS}; s 1, T 20; mined once an epoch; one seed"),
    Claim("MDVT, Table 2", "the same on a data set that the paper does not have, Last.fm-2K",
          "warmup_strategies.csv", warmups("lfm2k"), f"{OURS}; s 1, T 5 and 20; mined every batch"),
    *(Claim("MDVT, Table 2", f"every warm-up helps {model} on TikTok", "mdvt_table2.csv",
            differences("tiktok", model.lower()), f"{OURS}: image and audio")
      for model in ("MMGCN", "SLMRec", "DRAGON", "LGMRec", "MMSSL")),
    Claim("MDVT, Table 2", "the same for FREEDOM with s 2 and all six thresholds", "mdvt_table2.csv",
          differences("tiktok", "freedom"), f"{OURS}: image and audio"),
    *(claim for data in SETS for claim in studies(data)),
    Claim("CI²MG, Table 2", "best of eleven models with 90 % missing", "ci2mg_table2.csv", first_of_all(10),
          "Last.fm-2K, TikTok without text; 90 % of items lose some modalities; all rows trained by us"),
    Claim("CI²MG, Figure 3", "best of six at 50 to 90 % missing", "ci2mg_fig3.csv",
          first_of_all(5, (0.5, 0.6, 0.7, 0.8, 0.9)), "Last.fm-2K, TikTok without text; masks as in Table 2"),
    *(Claim("CI²MG, Table 3", f"every part helps, {data}", "ci2mg_table3.csv", ladder(data),
            "masks as in Table 2; features and sets that can be had") for data in SETS),
    *(Claim("none", f"mining for every batch is better than once an epoch ({data})", "mdvt_mining.csv",
            differences(data, "freedom", lambda r: r.endswith("every batch"), "minus_other"), OURS) for data in SETS),
    Claim("none", "the modality audit is right in 95 of 100 draws with known truth", "modality_audit.csv", audits,
          "generated data; VBPR with settings made for them"),
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
