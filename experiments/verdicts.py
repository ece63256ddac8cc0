"""Rules that read a verdict on a claim from rows of a result.

"holds" where every difference that the claim is about goes its way at p < .01, "partly" where some do, "does not" where
none does and one or more go the other way at p < .05, else "cannot be told": one seed, or too much chance. The p-values
of a claim's differences are Holm's.
"""

from collections.abc import Callable, Sequence

Rows = list[dict[str, str]]
Rule = Callable[[Rows], tuple[str, str]]  # from the rows of a file to (what we find, verdict)


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
        seeds = mine[0]["seeds"]
        gains = [row for row in mine if row["warmup"] != "none"]
        return f"R@10, {seeds} seed{'s' * (seeds != '1')}: {', '.join(told)}", decided(gains, "minus_backbone")

    return ours


def differences(
    data: str,
    model: str,
    about: Callable[[str], bool] = lambda label: label != "backbone",
    gap: str = "minus_base",
    sign: str = "+",
    metric: str = "recall@10",
) -> Rule:
    """Rows of a table of ours `about` which it is claimed that they are better (`-`: worse) than another one."""
    low, high = ("diff_low95", "diff_high95") if gap == "minus_base" else ("other_low95", "other_high95")

    def ours(rows: Rows) -> tuple[str, str]:
        mine = {r["row"]: r for r in rows if (r["data"], r["model"], r["metric"]) == (data, model, metric)}
        found = {label: row for label, row in mine.items() if about(label)}
        if not found:
            return "", "open"
        others = dict.fromkeys("backbone" if gap == "minus_base" else row["other"] for row in found.values())
        told = [f"{other} {float(mine[other]['mean']):.4f}" for other in others if other in mine and other not in found]
        gaps = [f" ({row[low]} to {row[high]})" if row[low] else "" for row in found.values()]
        told += [
            f"{label} {float(row['mean']):.4f}{more}" for (label, row), more in zip(found.items(), gaps, strict=True)
        ]
        seeds = next(iter(found.values()))["seeds"]
        name = metric.replace("recall", "R").replace("ndcg", "N")
        how = ", dynamic warm-up" if next(iter(found.values())).get("warmup") else ""
        said = f"{name}, {seeds} seed{'s' * (seeds != '1')}{how}: {', '.join(told)}"
        return said, decided(list(found.values()), gap, sign)

    return ours


def fewest(data: str) -> Rule:
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
        return said, decided(gains)

    return ours


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


def as_good(data: str, margin: float = 0.02) -> Rule:
    """Whether mining for every batch is within a share of mining once an epoch: the whole interval has to be."""

    def ours(rows: Rows) -> tuple[str, str]:
        mine = {r["row"]: r for r in rows if (r["data"], r["model"], r["metric"]) == (data, "freedom", "recall@10")}
        told, found = [], []
        for label, row in mine.items():
            if row["minus_other"]:
                least, ends = margin * float(mine[row["other"]]["mean"]), (row["other_low95"], row["other_high95"])
                told.append(f"{label} {row['minus_other']}" + (f" ({' to '.join(ends)})" if ends[0] else " (one seed)"))
                inside = bool(ends[0]) and max(abs(float(end)) for end in ends) <= least
                found.append(True if inside else False if better(row, "minus_other") is not None else None)
        return "R@10, " + ", ".join(told), verdict(found)

    return ours


def ladder(data: str) -> Rule:
    """CI²MG's parts, each against the row before it, 90 % missing; with prototypes where only those are all there."""

    def ours(rows: Rows) -> tuple[str, str]:
        kept = [row | {"row": row["model"], "model": ""} for row in rows if float(row["rate"]) == 0.9]
        upper = ("+ Inter", "+ Conl", "CI2MG")
        exact = set(upper) <= {row["row"] for row in kept if row["data"] == data}
        rungs = ("+ Intra", *(rung if exact else f"{rung}, prototypes" for rung in upper))
        said, found = differences(data, "", lambda r: r in rungs, "minus_other", "+", "recall@20")(kept)
        whole = set(rungs) <= {row["row"] for row in kept if row["data"] == data}
        return said, found if whole or found == "open" else "cannot be told"

    return ours


def above_lightgcn(rows: Rows) -> tuple[str, str]:
    """Trained models that are better and worse than LightGCN, training items masked, and those below popularity."""
    mine = [r for r in rows if r["metric"] == "recall@20" and r["mask"] == "train"]
    told = []
    for data in dict.fromkeys(r["data"] for r in mine):
        least = max((float(r["mean"]) for r in mine if r["data"] == data and r["model"] == "popularity"), default=0.0)
        here = [r for r in mine if r["data"] == data and r["model"] != "popularity" and "kNN" not in r["model"]]
        sure = adjusted(here, "minus_lightgcn")
        good = [r["model"] for r in sure if beyond(r, "minus_lightgcn", "+")]
        bad = [r["model"] for r in sure if beyond(r, "minus_lightgcn", "-")]
        under = [r["model"] for r in here if float(r["mean"]) < least]
        words = ("better", good), ("worse", bad), ("below popularity", under)
        counted = [f"{word} {', '.join(names)}" for word, names in words if names]
        told.append(f"{data}, {len(here)} models: {'; '.join(counted) or 'none told apart'}")
    return "R@20 against LightGCN at p < .01: " + ". ".join(told), "no claim"


def first_of_all(others: int, rates: Sequence[float] = (0.9,)) -> Rule:
    """CI²MG against the best of so many others at these rates, Recall@20; decided where all of them are there.

    Where CI²MG was trained only with prototypes, that is what is compared.
    """

    def ours(rows: Rows) -> tuple[str, str]:
        told, found = [], []
        rows = [r for r in rows if r["metric"] == "recall@20" and float(r["rate"]) in rates]
        for data, rate in dict.fromkeys((r["data"], r["rate"]) for r in rows):
            here = [r for r in rows if (r["data"], r["rate"]) == (data, rate)]
            own = sorted((r for r in here if r["model"].startswith("CI2MG")), key=lambda r: len(r["model"]))
            rest = [r for r in here if r not in own]
            if own and rest:
                mine = own[0]
                best = max(rest, key=lambda r: float(r["mean"]))
                name = mine["model"].replace("2", "²")
                told.append(
                    f"{data}, {100 * float(rate):.0f} %: {name} {spread(mine)}, {best['model']} {spread(best)}, "
                    f"best of {len(rest)} others"
                )
                above = float(mine["low95"]) > float(best["high95"])
                below = float(mine["high95"]) < float(best["low95"])
                found.append(False if below else True if above and len(rest) == others else None)
        return "; ".join(told), verdict(found)

    return ours


def audits(rows: Rows) -> tuple[str, str]:
    """Draws of the modality audit with every verdict right."""
    right = [all(r["right"] == "True" for r in rows if r["draw"] == n) for n in dict.fromkeys(r["draw"] for r in rows)]
    return f"{sum(right)} of {len(right)} draws, {rows[0]['seeds']} seeds", verdict([sum(right) >= 0.95 * len(right)])


def same_numbers(rows: Rows) -> tuple[str, str]:
    """Whether the data sets are as large as the paper's."""
    names = ("users", "items", "train", "train and valid")
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
