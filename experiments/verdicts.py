"""Rules that read a verdict on a claim from rows of a result.

"holds" where every difference that the claim is about goes its way at p < .01, "partly" where some do, "does not" where
none does and one or more go the other way at p < .05, or are none because both are the same run, else "cannot be told":
one seed, or too much chance. The p-values of a claim's differences are Holm's. Claims that something is as good are
judged by whole intervals (`within`), those about epochs by intervals over seeds (`sooner`, `alike`).
"""

from collections.abc import Callable, Mapping, Sequence

from experiments.compare import BASE, OTHER
from experiments.sizes import COUNTED

Rows = list[dict[str, str]]
Rule = Callable[[Rows], tuple[str, str]]  # from the rows of a file to (what we find, verdict)
ENDS = {columns[0]: columns[1:3] for columns in (BASE, OTHER)}


def adjusted(rows: Rows, gap: str = "minus_base") -> Rows:
    """The rows with p-values that hold for all of them at once (Holm); empty for one seed."""
    from jmmrec.report.stats import holm

    column = "p_other" if gap == "minus_other" else "p"
    able = [number for number, row in enumerate(rows) if row.get(column) and row["seeds"] != "1"]
    values = dict(zip(able, holm([float(rows[number][column]) for number in able]), strict=True))
    return [row | {column: str(values.get(number, ""))} for number, row in enumerate(rows)]


def beyond(row: dict[str, str], gap: str, sign: str, level: float = 0.01) -> bool:
    """Whether a row with several seeds is better (`+`) or worse (`-`) than another one beyond chance."""
    p = row.get("p_other" if gap == "minus_other" else "p")
    return bool(p) and row["seeds"] != "1" and float(p) < level and row[gap].startswith(sign)


def same(row: dict[str, str], gap: str) -> bool:
    """Whether two rows of several seeds are the same runs: no difference, and no spread of it (see `compare.gap`).

    >>> same({"seeds": "2", "minus_base": "+0.0", "diff_low95": "+0.0", "diff_high95": "+0.0"}, "minus_base")
    True
    """
    values = [row.get(name) for name in (gap, *ENDS[gap])] if gap in ENDS else [None]
    return all(value and float(value) == 0 for value in values) and row["seeds"] != "1"


def better(row: dict[str, str], gap: str = "minus_base", sign: str = "+") -> bool | None:
    """Whether a row is better (`-`: worse) than another one; None where that cannot be told."""
    if same(row, gap):
        return False
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


def decided(rows: Rows, gap: str = "minus_base", sign: str = "+") -> str:
    """The verdict on all rows being better (`-`: worse) than others."""
    return verdict([better(row, gap, sign) for row in adjusted(rows, gap)])


def spread(row: dict[str, str]) -> str:
    """A mean with its interval.

    >>> spread({"mean": "0.25", "low95": "0.2", "high95": "0.3"}), spread({"mean": "0.25", "low95": "nan"})
    ('0.2500 (0.2000 to 0.3000)', '0.2500 (no interval)')
    """
    ends = "no interval" if row["low95"] == "nan" else f"{float(row['low95']):.4f} to {float(row['high95']):.4f}"
    return f"{float(row['mean']):.4f} ({ends})"


def warmups(data: str) -> Rule:
    """Static, dynamic, hybrid against FREEDOM alone on one data set, Recall@10."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = [r for r in rows if (r["data"], r["model"], r["metric"]) == (data, "freedom", "recall@10")]
        told = [f"{row['warmup'].replace('none', 'alone')} {spread(row)}" for row in mine]
        if not mine:
            return "", "open"
        gains = [row for row in mine if row["warmup"] != "none"]
        return f"R@10, {counted(mine[0])}: {', '.join(told)}", decided(gains, "minus_backbone")

    return ours


def one_table(rows: Rows, data: str, model: str, metric: str) -> dict[str, dict[str, str]]:
    """Rows of a data set, a model and a metric by their label."""
    return {r["row"]: r for r in rows if (r["data"], r["model"], r["metric"]) == (data, model, metric)}


def differences(
    data: str,
    model: str,
    about: Callable[[str], bool] = lambda label: label != "backbone",
    gap: str = "minus_base",
    sign: str = "+",
    metric: str = "recall@10",
    base: str = "backbone",
) -> Rule:
    """Rows of a table of ours `about` which it is claimed that they are better (`-`: worse) than another one."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = one_table(rows, data, model, metric)
        found = {label: row for label, row in mine.items() if about(label)}
        if not found:
            return "", "open"
        others = dict.fromkeys(base if gap == "minus_base" else row["other"] for row in found.values())
        told = [f"{other} {float(mine[other]['mean']):.4f}" for other in others if other in mine and other not in found]
        told += [beside(row, gap) for row in found.values()]
        first = next(iter(found.values()))
        how = ", dynamic warm-up" if first.get("warmup") else ""
        said = f"{short(metric)}, {counted(first)}{how}: {', '.join(told)}"
        return said, decided(list(found.values()), gap, sign)

    return ours


def beside(row: dict[str, str], gap: str) -> str:
    """A row's mean, the interval of its difference, and in how many seeds nothing virtual was in what was chosen."""
    low, high = ENDS[gap]
    ends = f" ({row[low]} to {row[high]})" if row[low] else ""
    times = idle(row)
    same_as = f", the backbone itself in {times} of {row['seeds']} seeds" if times else ""
    return f"{row['row']} {float(row['mean']):.4f}{ends}{same_as}"


def idle(row: Mapping[str, str]) -> int:
    """Seeds whose best epoch comes before virtual triplets do.

    >>> idle({"best_epoch": "77 80 12", "virtual_since": "80 80 never"}), idle({})
    (2, 0)
    """
    pairs = zip(row.get("best_epoch", "").split(), row.get("virtual_since", "").split(), strict=True)
    return sum(since == "never" or int(best) < int(since) for best, since in pairs)


def counted(row: Mapping[str, str]) -> str:
    """How many seeds.

    >>> counted({"seeds": "1"}), counted({"seeds": "2"})
    ('1 seed', '2 seeds')
    """
    return f"{row['seeds']} seed{'s' * (row['seeds'] != '1')}"


def short(metric: str) -> str:
    """A metric as the papers write it.

    >>> short("recall@10"), short("ndcg@5")
    ('R@10', 'N@5')
    """
    return metric.replace("recall", "R").replace("ndcg", "N")


def within(
    data: str,
    model: str,
    about: Callable[[str], bool],
    sides: str = "-+",
    metric: str = "recall@10",
    margin: float = 0.02,
) -> Rule:
    """Rows claimed to be as good as another one: the whole interval is above -2 % of it (`-`) and below 2 % (`+`)."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = one_table(rows, data, model, metric)
        told, found = [], []
        asked = [row for label, row in mine.items() if about(label) and row["minus_other"]]
        for row in adjusted(asked, "minus_other"):
            least, low, high = margin * float(mine[row["other"]]["mean"]), row["other_low95"], row["other_high95"]
            told.append(f"{beside(row, 'minus_other')}, against {row['other']} {float(mine[row['other']]['mean']):.4f}")
            outside = ("-" in sides and low and float(low) < -least) or ("+" in sides and high and float(high) > least)
            surely = any(beyond(row, "minus_other", side, 0.05) for side in sides)
            found.append(True if low and not outside else False if surely else None)
        return f"{short(metric)}, {counted(asked[0])}: {', '.join(told)}" if told else "", verdict(found)

    return ours


def groups(data: str, model: str, all_of_them: bool) -> Rule:
    """What each warm-up adds for users by their training items, Recall@10; or for the group with fewest alone."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = [row for row in rows if (row["data"], row["model"]) == (data, model)]
        names = list(dict.fromkeys(row["training_items"] for row in mine))
        told, gains = [], []
        for name in names if all_of_them else names[:1]:
            here = [row for row in mine if row["training_items"] == name]
            more = [row for row in here if row["minus_base"] and (row["p"] or row["seeds"] == "1")]
            ends = [row["row"] + " " + row["minus_base"] + between(row) for row in more]
            gains += more
            users = f"{here[0]['users']} users with {name}"
            none = all(float(row["recall@10"]) == 0 for row in here)
            told.append(
                f"{users}: no hit in any run" if none else f"{users}, alone {here[0]['recall@10']}: {', '.join(ends)}"
            )
        return (f"R@10, {counted(mine[0])}, {'; '.join(told)}", decided(gains)) if gains else ("", "open")

    return ours


def between(row: Mapping[str, str]) -> str:
    """The interval of a group's difference, where there is one."""
    return f" ({row['diff_low95']} to {row['diff_high95']})" if row["p"] else ""


def sooner(data: str) -> Rule:
    """Best epochs of FREEDOM with each warm-up, less those alone, over the seeds whose best has virtual triplets."""
    from jmmrec.report.stats import interval

    def fewer(row: dict[str, str], alone: Sequence[int]) -> list[int]:
        pairs = zip(row["best_epoch"].split(), row["virtual_since"].split(), alone, strict=True)
        return [int(best) - base for best, since, base in pairs if since != "never" and int(best) >= int(since)]

    def ours(rows: Rows) -> tuple[str, str]:
        mine = [row for row in rows if (row["data"], row["model"], row["metric"]) == (data, "freedom", "recall@10")]
        if not mine:
            return "", "open"
        alone = next([int(epoch) for epoch in row["best_epoch"].split()] for row in mine if row["row"] == "backbone")
        told, found = [f"alone at {' '.join(map(str, alone))}"], []
        for row in mine:
            gaps = fewer(row, alone)
            if len(gaps) > 1:
                one = interval(gaps)
                told.append(f"{row['row']} {one.mean:+.0f} ({one.low:+.0f} to {one.high:+.0f})")
                found.append(True if one.high < 0 else False if one.low > 0 else None)
        return f"best epoch of {len(alone)} seeds: {', '.join(told)}", verdict(found) if found else "cannot be told"

    return ours


def alike(data: str, span: int = 2) -> Rule:
    """Whether the static threshold with the best valid score lies within a span of what dynamic found, seed by seed."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = one_table(rows, data, "freedom", "recall@10")
        static = {label: row for label, row in mine.items() if label.startswith("T = ")}
        if not static:
            return "", "open"
        best = max(static, key=lambda label: float(static[label]["valid"]))
        picked = {name: mine[name]["plain_epochs"] for name in ("dynamic", "hybrid")}
        said = f"plain epochs, {counted(mine[best])}: static {best[4:]}, " + ", ".join(map(" ".join, picked.items()))
        near = [abs(int(best[4:]) - int(epochs)) <= span for epochs in picked["dynamic"].split() if epochs != "never"]
        return said, verdict(near) if len(near) > 1 else "cannot be told"

    return ours


def masked(rows: Rows, rates: Sequence[float] = (0.9,)) -> Rows:
    """Rows of CI²MG's tables at these rates, named as those of MDVT's are."""
    return [row | {"row": row["model"], "model": ""} for row in rows if float(row["rate"]) in rates]


def as_base(row: dict[str, str]) -> dict[str, str]:
    """A row whose difference to the other row stands where that to the base does, and whose name says so."""
    moved = {base: row[other] for base, other in zip(BASE, OTHER, strict=True)}
    return row | moved | {"row": f"{row['row']} against {row['other']}"}


def ladder(data: str) -> Rule:
    """CI²MG's parts, 90 % missing: the first and the whole against LightGCN-M, the others against the rung below.

    With prototypes where only those are all there.
    """

    def ours(rows: Rows) -> tuple[str, str]:
        kept = one_table(masked(rows), data, "", "recall@20")
        upper = ["+ Inter", "+ Conl", "CI2MG"]
        upper = upper if set(upper) <= set(kept) else [f"{rung}, prototypes" for rung in upper]
        steps = [kept[rung] for rung in ("+ Intra", upper[-1]) if rung in kept]
        steps += [as_base(kept[rung]) for rung in upper if rung in kept]
        if not steps:
            return "", "open"
        told = [f"{name} {float(kept[name]['mean']):.4f}" for name in ("LightGCN-M", "Eq. 2's ids") if name in kept]
        told += [beside(row, "minus_base") for row in steps]
        found = decided(steps) if len(steps) == 5 else "cannot be told"
        return f"R@20, {counted(steps[0])}: {', '.join(told)}", found

    return ours


def without_features(data: str) -> Rule:
    """Whether LightGCN is above LightGCN-M, in every reading of it, with most modalities missing."""
    rule = differences(data, "", lambda r: r.startswith("LightGCN-M"), "minus_base", "-", "recall@20", "LightGCN")
    return lambda rows: rule(masked(rows))


def above_lightgcn(rows: Rows) -> tuple[str, str]:
    """Trained models that are better and worse than LightGCN, training items masked, and those below popularity."""
    mine = [r for r in rows if r["metric"] == "recall@20" and r["mask"] == "train"]
    told = []
    for data in dict.fromkeys(r["data"] for r in mine):
        least = max((float(r["mean"]) for r in mine if r["data"] == data and r["model"] == "popularity"), default=0.0)
        here = [r for r in mine if r["data"] == data and r["model"] not in ("popularity", "lightgcn")]
        here = [r for r in here if "kNN" not in r["model"]]
        sure = adjusted(here, "minus_lightgcn")
        good = [r["model"] for r in sure if beyond(r, "minus_lightgcn", "+")]
        bad = [r["model"] for r in sure if beyond(r, "minus_lightgcn", "-")]
        under = [r["model"] for r in here if float(r["mean"]) < least]
        words = ("better", good), ("worse", bad), ("below popularity", under)
        said = [f"{word} {', '.join(names)}" for word, names in words if names]
        told.append(f"{data}, {len(here)} models: {'; '.join(said) or 'none told apart'}")
    return "R@20 against LightGCN at p < .01: " + ". ".join(told), "no claim"


def first_of_all(data: str, others: int, own: str = "CI2MG", rates: Sequence[float] = (0.9,)) -> Rule:
    """CI²MG against each other model at these rates, Recall@20: all below it, or one above it (at p < .05)."""

    def ours(rows: Rows) -> tuple[str, str]:
        kept = [r for r in masked(rows, rates) if (r["data"], r["metric"]) == (data, "recall@20")]
        mine_at = {r["rate"]: r for r in kept if r["row"] == own}
        told, rest = [], [r for r in kept if r["other"] == own and not r["row"].startswith("CI2MG")]
        rest = [r for r in rest if r["rate"] in mine_at]
        for rate in dict.fromkeys(r["rate"] for r in rest):
            here, mine = [r for r in rest if r["rate"] == rate], mine_at[rate]
            best = max(here, key=lambda r: float(r["mean"]))
            name, said = own.replace("2", "²"), beside(best, "minus_other")
            whose = f"{name} {float(mine['mean']):.4f}, {counted(mine)}"
            told.append(f"{100 * float(rate):.0f} %: {whose}, best of {len(here)} others {said}, {counted(best)}")
        # One that is above it is enough against "best".
        above = any(beyond(r, "minus_other", "+", 0.05) for r in adjusted(rest, "minus_other"))
        found = "does not" if above else decided(rest, "minus_other", "-")
        whole = sum("public code" not in r["row"] for r in rest) == others * len(rates)
        return f"R@20, {'; '.join(told)}" if told else "", found if whole or found != "holds" else "partly"

    return ours


def audits(rows: Rows) -> tuple[str, str]:
    """Draws of the modality audit with every verdict right."""
    right = [all(r["right"] == "True" for r in rows if r["draw"] == n) for n in dict.fromkeys(r["draw"] for r in rows)]
    return f"{sum(right)} of {len(right)} draws, {rows[0]['seeds']} seeds", verdict([sum(right) >= 0.95 * len(right)])


def same_numbers(rows: Rows) -> tuple[str, str]:
    """Whether the data sets are as large as the paper's."""
    names = ("users", "items", *COUNTED)
    ours, paper = ({row["data"]: row for row in rows if row["row"] == whose} for whose in ("ours", "paper"))
    told, found = [], []
    for data in [data for data in paper if data in ours]:
        other = [n for n in names if paper[data][n] and paper[data][n] != ours[data][n]]
        told.append(f"{data} {'; '.join(f'{n} {ours[data][n]}' for n in other) or 'the same'}")
        found.append(not other or None)
    return ", ".join(told), verdict(found)


def untested(rows: Rows) -> tuple[str, str]:
    """A claim that nothing here can decide; its `differs` says why."""
    return "none", "cannot be tested here"
