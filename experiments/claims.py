"""What the papers claim: where, with which numbers, which of our files decides it, by which rule, and what differs."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.mdvt.study import PAPER_NAME, TITLE
from experiments.verdicts import (
    Rule,
    above_lightgcn,
    as_good,
    audits,
    differences,
    fewest,
    first_of_all,
    ladder,
    same_numbers,
    sooner,
    untested,
    warmups,
)

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
      where: in the paper. says: the claim. file: our CSV. ours: the rule. differs: between their protocol and ours; of
        what cannot be tested, why. paper: its numbers.
    """

    where: str
    says: str
    file: str
    ours: Rule
    differs: str
    paper: str = ""


def printed(table: str, model: str, metric: str, data: str = "Baby", rows: Sequence[str] = ()) -> str:
    """Numbers of one of MDVT's tables, a data set and a model; all rows of the table, or those named."""
    with open(HERE / "mdvt" / "paper.csv", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if not line["variant"].startswith("Improv.")]
    about = (table, data, model, metric)
    found = [line for line in lines if (line["table"], line["dataset"], line["model"], line["metric"]) == about]
    told = [f"{line['variant']} {line['value']}" for line in found if not rows or line["variant"] in rows]
    return f"{data}, {metric}: {', '.join(told)}"


def missing(table: str, data: str) -> dict[str, float]:
    """Recall@20 in one of CI²MG's tables, a data set."""
    with open(HERE / "ci2mg" / "paper.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    about = (table, data, "recall@20")
    found = [line for line in lines if (line["table"], line["data"], line["metric"]) == about]
    return {line["model"]: float(line["percent"]) / 100 for line in found}


def best_printed(data: str) -> str:
    """CI²MG's Recall@20 in its Table 2, and the best of the others there."""
    values = missing("2", data)
    mine = values.pop("CI2MG")
    best = max(values, key=lambda name: values[name])
    return f"{data}: CI²MG {mine:.4f}, {best} {values[best]:.4f}"


OURS = "selected on valid; features and sets that can be had"
MASKS = "Last.fm-2K, TikTok without text; masks as in Table 2"
SETS = ("lfm2k", "tiktok")
SOME = ("image", "text", "audio", "whisper")
RUNGS = "tiktok: " + ", ".join(f"{rung} {value:.4f}" for rung, value in missing("3", "tiktok").items())


def studies(data: str) -> list[Claim]:
    """What MDVT's other tables and figures say, about FREEDOM (Table 4: MMGCN, LGMRec) on one data set."""

    def claim(where: str, says: str, file: str, *about: Any, model: str = "freedom", paper: str = "") -> Claim:
        rule = differences(data, model, *about)
        return Claim(f"MDVT, {where}", f"{says} ({data})", f"mdvt_{file}.csv", rule, OURS, paper)

    base, other, five, ndcg = "minus_base", "minus_other", "recall@5", "ndcg@10"

    def third(*rows: str) -> str:
        return printed("3", "FREEDOM", "R@10", rows=rows)

    pairs = ("MDVT_ID-V", "MDVT_ID-T", "MDVT_V-T")
    return [
        claim("Figure 2", "without aggregation or scaling it is worse", "fig3",
              lambda r: r.startswith("w/o"), other, "-", ndcg, paper="no printed numbers"),
        claim("Table 3", "similarity from some channels is worse than from all", "table3",
              lambda r: r.startswith("MDVT_") and r not in ("MDVT_F1", "MDVT_F2"), other, "-",
              paper=third("MDVT", "MDVT_ID", "MDVT_V", "MDVT_T", *pairs)),
        claim("Table 3", "similarity of ids alone is better than no MDVT", "table3", lambda r: r == "MDVT_id",
              paper=third("origin", "MDVT_ID")),
        claim("Table 3", "that of one modality alone is worse than no MDVT", "table3",
              lambda r: r.removeprefix("MDVT_") in SOME, base, "-", paper=third("origin", "MDVT_V", "MDVT_T")),
        claim("Table 3", "choice by frequency alone (F1) hurts", "table3", lambda r: r == "MDVT_F1", base, "-",
              paper=third("origin", "MDVT_F1")),
        claim("Table 3", "frequency among similar items (F2) is worse than similarity", "table3",
              lambda r: r == "MDVT_F2", other, "-", paper=third("MDVT", "MDVT_F2")),
        *(claim("Table 4", f"AMR adds to MDVT on {title}", "table4", lambda r: r == "+M+A", other, "+", five,
                model=title.lower(), paper=printed("4", title, "R@5")) for title in ("MMGCN", "LGMRec")),
        claim("Table 5", "g of .3 and more is worse than .1", "table5",
              lambda r: r.partition("=")[2] in ("0.3", "0.4", "0.5"), other, "-",
              paper=printed("5", "FREEDOM", "R@10")),
        Claim("MDVT, Figure 4", f"users with the fewest training items gain ({data})", "mdvt_fig4_groups.csv",
              fewest(data), OURS, "no printed numbers"),
        Claim("MDVT, Figure 5", f"training converges in fewer epochs ({data})", "mdvt_fig5.csv", sooner(data),
              f"{OURS}; seeds whose best epoch comes before the virtual triplets are left out", "no printed numbers"),
        claim("Table 6", "a threshold in place of n is worse than MDVT", "table6_7",
              lambda r: "w/o" in r, other, "-", ndcg, paper=printed("6", "FREEDOM", "N@10")),
        claim("Table 7", "n and a threshold are worse than MDVT", "table6_7",
              lambda r: r == "MDVT (w p)", other, "-", ndcg, paper=printed("7", "FREEDOM", "N@10")),
        claim("Table 7", "MDVT+, which has MDVT among its settings, is better or the same", "table6_7",
              lambda r: r.startswith("MDVT+"), other, "+", ndcg, paper=printed("7", "FREEDOM", "N@10")),
        claim("Figure 7", "λ of .2 is best", "fig7_8", lambda r: r.startswith("λ") and r != "λ = 0.2", other, "-",
              paper="no printed numbers"),
        claim("Figure 8", "n of 2 is best", "fig7_8", lambda r: r.startswith("n") and r != "n = 2", other, "-",
              paper="no printed numbers"),
        claim("Figure 9", "a span of 1 is worse than 2", "fig9", lambda r: r == "s = 1", other, "-",
              paper="no printed numbers"),
    ]  # fmt: skip


def second(title: str, data: str) -> list[Claim]:
    """What MDVT's Table 2 says of a backbone on one data set."""
    name = PAPER_NAME[data]
    model, numbers = title.lower(), printed("2", title, "R@10", name)
    differs = f"{OURS}: image and audio" if data == "tiktok" else OURS
    order = differences(data, model, lambda r: r in ("+MDVT (H)", "+MDVT (S)"), "minus_other")
    says = f"hybrid beats static, static beats dynamic ({title} on {name})"
    return [
        Claim("MDVT, Table 2", f"every warm-up helps {title} on {name}", "mdvt_table2.csv",
              differences(data, model), differs, numbers),
        Claim("MDVT, Table 2", says, "mdvt_table2.csv", order, differs, "as above"),
    ]  # fmt: skip


def untestable(where: str, says: str, why: str, paper: str = "") -> Claim:
    """A claim that nothing here can decide, and why."""
    return Claim(where, says, "", untested, why, paper)


CLAIMS = (
    Claim("MDVT, Table 2", "every warm-up helps FREEDOM on TikTok", "warmup_strategies.csv", warmups("tiktok"),
          f"{OURS}: image and audio; s 1, T 20; mined once an epoch", printed("2", "FREEDOM", "R@10", "TikTok")),
    Claim("MDVT, Table 2", "every warm-up helps FREEDOM on Baby", "warmup_strategies.csv", warmups("amazon_baby"),
          f"{OURS}; s 1, T 20; mined once an epoch; one seed", printed("2", "FREEDOM", "R@10")),
    Claim("MDVT, Table 2", "the same on a data set that the paper does not have, Last.fm-2K",
          "warmup_strategies.csv", warmups("lfm2k"), f"{OURS}; s 1, T 5 and 20; mined every batch"),
    *(claim for data in PAPER_NAME for title in TITLE.values() for claim in second(title, data)),
    *(claim for data in SETS for claim in studies(data)),
    untestable("MDVT, Table 2", "every warm-up helps on Clothing",
               "its features and item graphs cannot be had; ids alone are here"),
    untestable("MDVT, Table 4", "text augmented by GPT-4o adds to MDVT",
               "needs a paid service and the items' images; `jmmrec data augment-text` makes the texts"),
    untestable("MDVT, Figure 6", "the best warm-ups of all three strategies lie in a similar range",
               "no numbers, and no rule for similar; fig6.py shows what each picks"),
    Claim("CI²MG, Table 1", "sizes of the data sets", "ci2mg_table1.csv", same_numbers,
          "features of Baby and Sports are derived ones; TikTok without text",
          "TikTok 9319 users; Baby 19445, Sports 35598"),
    Claim("CI²MG, Table 2", "best of eleven models with 90 % missing", "ci2mg_table2.csv", first_of_all(10),
          "Last.fm-2K, TikTok without text; 90 % of items lose some modalities; all rows trained by us",
          best_printed("tiktok")),
    Claim("CI²MG, Figure 3", "best of six at 50 to 90 % missing", "ci2mg_fig3.csv",
          first_of_all(5, (0.5, 0.6, 0.7, 0.8, 0.9)), MASKS, "no printed numbers"),
    *(Claim("CI²MG, Table 3", f"every part helps, {data}", "ci2mg_table3.csv", ladder(data),
            "masks as in Table 2; features and sets that can be had", RUNGS) for data in SETS),
    untestable("CI²MG, Tables 1, 2", "Allrecipes: size, and best of eleven models", "the data set cannot be had"),
    untestable("CI²MG, Figure 4", "K 64 or 256, L about 2, λ1 1 or .01, λ2 .01 to 1 are best",
               "no numbers, and several values are called best of each; fig4.py shows ours"),
    *(Claim("none", f"mining for every batch is within 2 % of once an epoch ({data})", "mdvt_mining.csv",
            as_good(data), OURS) for data in SETS),
    Claim("none", "the modality audit is right in 95 of 100 draws with known truth", "modality_audit.csv", audits,
          "generated data; VBPR with settings made for them"),
    Claim("none", "every backbone with its defaults beside LightGCN and popularity", "baselines.csv", above_lightgcn,
          "default settings"),
)  # fmt: skip
