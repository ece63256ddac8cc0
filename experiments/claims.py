"""What the papers claim: where, with which numbers, which of our files decides it, by which rule, and what differs."""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.ci2mg.table2 import QUICK
from experiments.mdvt.study import PAPER_NAME, TITLE
from experiments.verdicts import (
    Rule,
    above_lightgcn,
    alike,
    audits,
    differences,
    first_of_all,
    groups,
    ladder,
    same_numbers,
    sooner,
    untested,
    warmups,
    within,
    without_features,
)

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
      where: in the paper, "none" for a question of ours. says: the claim. file: our CSV. ours: the rule. differs:
        between their protocol and ours; of what cannot be tested, why. paper: its numbers.
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


OURS = "selected on valid; features and sets that can be had; λ .2, n 2 (MMGCN, SLMRec 4), g .1, s 2, no grid"
ITEMS = (
    "selected on valid; TikTok without text, derived features of Baby and Sports; so many items lose some modalities; "
    "all rows trained by us with defaults, nothing searched; Equation 2 by the letter (docs/models/ci2mg.md)"
)
FOREIGN = "; not a data set of the paper's"
SETS, OWN = ("lfm2k", "tiktok"), "none"
NONE = "no printed numbers"
SOME = ("image", "text", "audio", "whisper")


def studies(data: str) -> list[Claim]:
    """What MDVT's other tables and figures say, about one data set and FREEDOM, but where FREEDOM has no answer."""
    elsewhere = FOREIGN if data == "lfm2k" else "; the paper has this data set in Table 2 alone"

    def claim(
        where: str, says: str, file: str, rule: Rule, paper: str = NONE, more: str = "", model: str = "FREEDOM"
    ) -> Claim:
        about = f"{says} ({model} on {data})"
        return Claim(f"MDVT, {where}", about, f"mdvt_{file}.csv", rule, f"{OURS}{elsewhere}{more}", paper)

    def freedom(about: Callable[[str], bool], gap: str, sign: str = "-", metric: str = "recall@10") -> Rule:
        return differences(data, "freedom", about, gap, sign, metric)

    def third(*rows: str, model: str = "FREEDOM") -> str:
        return printed("3", model, "R@10", rows=rows)

    def partial(label: str) -> bool:
        return label.startswith("MDVT_") and not label.startswith(("MDVT_F", "MDVT_id-"))

    base, other, ndcg, pairs = "minus_base", "minus_other", "ndcg@10", ("MDVT_ID-V", "MDVT_ID-T")
    alone = "; FREEDOM ranks by ids, so that its ids are what MDVT takes by default"
    groups_are = "; groups are of one item each, all within the paper's sparsest" if data == "tiktok" else ""
    return [
        claim("Figure 2", "without aggregation or scaling it is worse", "fig3",
              freedom(lambda r: r.startswith("w/o"), other, "-", ndcg)),
        claim("Table 3", "similarity from ids or from modalities alone is worse than from all", "table3",
              differences(data, "lgmrec", partial, other, "-"),
              third("MDVT", "MDVT_ID", "MDVT_V", "MDVT_T", "MDVT_V-T", model="LGMRec"), model="LGMRec"),
        claim("Table 3", "ids with a modality are better than ids alone", "table3",
              differences(data, "lgmrec", lambda r: r.startswith("MDVT_id-"), other, "+"),
              third("MDVT_ID", *pairs, model="LGMRec"), model="LGMRec"),
        claim("Table 3", "similarity of ids alone is better than no MDVT", "table3",
              freedom(lambda r: r == "MDVT_id", base, "+"), third("origin", "MDVT_ID"), alone),
        claim("Table 3", "that of one modality alone is worse than no MDVT", "table3",
              freedom(lambda r: r.removeprefix("MDVT_") in SOME, base), third("origin", "MDVT_V", "MDVT_T")),
        claim("Table 3", "choice by frequency alone (F1) hurts", "table3", freedom(lambda r: r == "MDVT_F1", base),
              third("origin", "MDVT_F1")),
        claim("Table 3", "frequency among similar items (F2) is worse than similarity", "table3",
              freedom(lambda r: r == "MDVT_F2", other), third("MDVT", "MDVT_F2")),
        *(claim("Table 4", "AMR adds to MDVT", "table4",
                differences(data, title.lower(), lambda r: r == "+M+A", other, "+", "recall@5"),
                printed("4", title, "R@5"), model=title) for title in ("MMGCN", "LGMRec")),
        claim("Table 5", "g of .3 and more is worse than .1", "table5",
              freedom(lambda r: r.partition("=")[2] in ("0.3", "0.4", "0.5"), other), printed("5", "FREEDOM", "R@10")),
        *(claim("Figure 4", says, "fig4_groups", groups(data, title.lower(), every), NONE, groups_are, title)
          for title in ("FREEDOM", "SLMRec", "LGMRec")
          for says, every in (("users with the fewest training items gain", False),
                              ("users gain whatever their number of training items", True))),
        claim("Figure 5", "training converges in fewer epochs", "fig5", sooner(data), NONE,
              "; by the best valid epoch, where the paper draws the training loss; seeds whose best epoch comes before "
              "the virtual triplets are left out"),
        claim("Figure 6", "the best warm-ups of all strategies lie in a similar range, here within 2 epochs", "fig6",
              alike(data), NONE, "; dynamic alone is held against the best static threshold of 0, 5, 10, 20, 40, 80, "
              "so that many of its epochs have none near"),
        claim("Table 6", "a threshold in place of n is worse than MDVT", "table6_7",
              freedom(lambda r: r == "MDVT (w p w/o n)", other, "-", ndcg), printed("6", "FREEDOM", "N@10")),
        claim("Table 6", "and worse still without a warm-up", "table6_7",
              freedom(lambda r: r == "MDVT (w p w/o w,n)", other, "-", ndcg), "as above"),
        claim("Table 7", "n and a threshold are worse than MDVT", "table6_7",
              freedom(lambda r: r == "MDVT (w p)", other, "-", ndcg), printed("7", "FREEDOM", "N@10")),
        claim("Table 7", "MDVT+, which has MDVT among its settings, is better or as good", "table6_7",
              within(data, "freedom", lambda r: r.startswith("MDVT+"), "-", ndcg), printed("7", "FREEDOM", "N@10")),
        claim("Figure 7", "λ of .2 is best", "fig7_8", freedom(lambda r: r.startswith("λ") and r != "λ = 0.2", other)),
        claim("Figure 8", "n of 2 is best", "fig7_8", freedom(lambda r: r.startswith("n") and r != "n = 2", other)),
        claim("Figure 9", "spans above 2 add nothing", "fig9",
              within(data, "freedom", lambda r: r in ("s = 3", "s = 4", "s = 5"), "+")),
    ]  # fmt: skip


def second(title: str, data: str) -> list[Claim]:
    """What MDVT's Table 2 says of a backbone on one data set."""
    name = PAPER_NAME[data]
    model, numbers = title.lower(), printed("2", title, "R@10", name)
    differs = f"{OURS}; image and audio" if data == "tiktok" else OURS
    tie = len({*missing_ties(title, name)}) == 1  # of static and hybrid, in what is shown of the others
    metric = "ndcg@10" if tie else "recall@10"
    order = differences(data, model, lambda r: r in ("+MDVT (H)", "+MDVT (S)"), "minus_other", metric=metric)
    says = f"hybrid beats static, static beats dynamic ({title} on {name})"
    return [
        Claim("MDVT, Table 2", f"every warm-up helps {title} on {name}", "mdvt_table2.csv",
              differences(data, model), differs, numbers),
        Claim("MDVT, Table 2", says, "mdvt_table2.csv", order, differs,
              f"{printed('2', title, 'N@10', name)}; R@10 is a tie" if tie else "as above"),
        Claim("MDVT, Observation 2", f"dynamic is as good as static, within 2 % ({title} on {name})",
              "mdvt_table2.csv", within(data, model, lambda r: r == "+MDVT (S)", "+"),
              f"{differs}; the 2 % are ours: the paper's numbers are up to 1.5 % apart, MMGCN's on TikTok 3.7 %",
              "as above"),
    ]  # fmt: skip


def missing_ties(title: str, name: str) -> list[str]:
    """MDVT's R@10 with static and with hybrid warm-up in its Table 2."""
    told = printed("2", title, "R@10", name, ("+MDVT (S)", "+MDVT (H)")).partition(": ")[2]
    return [part.rsplit(" ", 1)[1] for part in told.split(", ")]


def missing_items(data: str) -> list[Claim]:
    """What CI²MG's tables and figures say of one data set."""
    paper = data if data in ("amazon_baby", "amazon_sports") else "tiktok"
    rungs = ", ".join(f"{rung} {value:.4f}" for rung, value in missing("3", paper).items())
    ids = missing("2", paper)
    beside = f"{paper}: LightGCN {ids['LightGCN']:.4f}, LightGCN-M {ids['LightGCN-M']:.4f}"
    differs = ITEMS + FOREIGN * (data == "lfm2k")
    found = [
        Claim("CI²MG, Table 2", f"best of eleven models with 90 % missing ({data})", "ci2mg_table2.csv",
              first_of_all(data, 10), differs, best_printed(paper)),
        # The paper says it of Baby, its table has it of Sports too; of TikTok it prints the opposite.
        Claim("CI²MG, Table 2" if paper == data != "tiktok" else OWN,
              f"LightGCN without features is above LightGCN-M ({data})", "ci2mg_table2.csv", without_features(data),
              f"{differs}; the paper's own, {beside}" if data == "tiktok" else differs, beside),
    ]  # fmt: skip
    if data != "amazon_sports":
        found += [Claim("CI²MG, Figure 3", f"best of its models at 50 to 80 % missing ({data})", "ci2mg_fig3.csv",
                        first_of_all(data, 5, QUICK, (0.5, 0.6, 0.7, 0.8)),
                        f"{differs}; CI²MG with prototypes; LightGCN added", NONE)]  # fmt: skip
    if rungs:
        found += [Claim("CI²MG, Table 3", f"every part helps ({data})", "ci2mg_table3.csv", ladder(data), differs,
                        f"{paper}: {rungs}")]  # fmt: skip
    return found


def untestable(where: str, says: str, why: str, paper: str = "") -> Claim:
    """A claim that nothing here can decide, and why."""
    return Claim(where, says, "", untested, why, paper)


CLAIMS = (
    Claim("MDVT, Table 1", "sizes of the data sets", "mdvt_table1.csv", same_numbers,
          "features of Baby and Sports are derived ones, Clothing has none; TikTok without text",
          "TikTok 9319 users; Baby 160792, Sports 296337, Clothing 278677 interactions"),
    *(claim for data in PAPER_NAME for title in TITLE.values() for claim in second(title, data)),
    *(claim for data in SETS for claim in studies(data)),
    untestable("MDVT, Table 2", "every warm-up helps on Clothing",
               "its features and item graphs cannot be had; ids alone are here"),
    untestable("MDVT, Table 4", "text augmented by GPT-4o adds to MDVT",
               "needs a paid service and the items' images; `jmmrec data augment-text` makes the texts"),
    untestable("MDVT, Table 4", "GPT-4o's text adds more than AMR, both together most", "as above"),
    untestable("MDVT, Figure 3", "without aggregation or scaling the loss jumps after 20 epochs and training is less "
               "stable and longer", "no numbers, and no rule of ours; fig3.py draws the curves"),
    Claim("CI²MG, Table 1", "sizes of the data sets", "ci2mg_table1.csv", same_numbers,
          "features of Baby and Sports are derived ones; TikTok without text",
          "TikTok 9319 users; Baby 19445, Sports 35598"),
    *(claim for data in (*SETS, "amazon_baby", "amazon_sports") for claim in missing_items(data)),
    untestable("CI²MG, Tables 1, 2", "Allrecipes: size, and best of eleven models", "the data set cannot be had"),
    untestable("CI²MG, Figure 4", "K 64 or 256, L about 2, λ1 1 or .01, λ2 .01 to 1 are best",
               "no numbers, several values are called best of each, no rule of ours; fig4.py draws it (not run yet)"),
    *(Claim("none", f"every warm-up, with fewer thresholds, helps FREEDOM on {name}", "warmup_strategies.csv",
            warmups(data), differs) for data, name, differs in (
                ("tiktok", "TikTok", f"{OURS}; s 1, T 20; mined once an epoch"),
                ("amazon_baby", "Baby", f"{OURS}; s 1, T 20; mined once an epoch"),
                ("lfm2k", "Last.fm-2K", f"{OURS}; s 1, T 5 and 20; mined every batch"))),
    *(Claim("none", f"mining for every batch is within 2 % of once an epoch ({data})", "mdvt_mining.csv",
            within(data, "freedom", lambda label: True), OURS) for data in SETS),
    Claim("none", "the modality audit is right in 95 of 100 draws with known truth", "modality_audit.csv", audits,
          "generated data; VBPR with settings made for them"),
    Claim("none", "thirteen backbones with their defaults beside LightGCN and popularity", "baselines.csv",
          above_lightgcn, "default settings"),
)  # fmt: skip
