"""What an audit found: counts, a two-column table, sentences of warning."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

Spread = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class ModalityDescription:
    """One modality; counts are of items.

    Attributes:
      name, dim: as in the data set.
      missing: marked as missing; the counts below are of the others.
      nan_rows, zero_rows: with NaN or infinity; all zero.
      repeated_rows: finite rows exactly equal to another item's row.
      norm: least, median and largest length of a finite row.
      neighbours: how many published neighbours each item has, or None.
      without_self: items whose published neighbours lack the item itself.
    """

    name: str
    dim: int
    missing: int
    nan_rows: int
    zero_rows: int
    repeated_rows: int
    norm: Spread
    neighbours: int | None
    without_self: int


@dataclasses.dataclass(frozen=True)
class Description:
    """Statistics and findings of a data set; `str()` gives a table in text.

    Attributes:
      name, n_users, n_items: as in `Dataset`.
      interactions: split -> rows, or {"unsplit": rows}.
      density: rows / (n_users * n_items).
      user_degree, item_degree: least, median, largest number of interactions over all splits.
      cold_items: items without training interactions; `cold_touched`: split -> interactions with them.
      users_without: split -> users with no interaction in it.
      unreachable_users: users with valid or test items but no training interaction.
      duplicates: rows that repeat an earlier row; `overlap`: pairs that stand in more than one split.
      modalities: one description each.
      warnings: sentences, worst first.
    """

    name: str
    n_users: int
    n_items: int
    interactions: Mapping[str, int]
    density: float
    user_degree: Spread
    item_degree: Spread
    cold_items: int
    cold_touched: Mapping[str, int]
    users_without: Mapping[str, int]
    unreachable_users: int
    duplicates: int
    overlap: int
    modalities: Sequence[ModalityDescription]
    warnings: Sequence[str] = ()

    def rows(self) -> list[tuple[str, str]]:
        """Two columns of text, what and how many, for a table.

        >>> from jmmrec.data import describe, load
        >>> describe(load("synthetic")).rows()[0]
        ('users', '1,000')
        """
        return [*self._interaction_rows(), *(row for m in self.modalities for row in _modality_rows(m))]

    def _interaction_rows(self) -> Iterator[tuple[str, str]]:
        yield "users", f"{self.n_users:,}"
        yield "items", f"{self.n_items:,}"
        for split, count in self.interactions.items():
            yield f"{split} interactions", f"{count:,}"
        yield "density", f"{100 * self.density:.3g} %"
        yield "interactions per user (min / median / max)", _spread(self.user_degree)
        yield "interactions per item (min / median / max)", _spread(self.item_degree)
        if "train" in self.interactions:
            touched = ", ".join(f"{count:,} in {split}" for split, count in self.cold_touched.items())
            yield "cold items (interactions with them)", f"{self.cold_items:,} ({touched})"
            for split, count in self.users_without.items():
                yield f"users without {split} items", f"{count:,}"
        yield "repeated rows", f"{self.duplicates:,}"
        yield "pairs in more than one split", f"{self.overlap:,}"

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(what) for what, _ in rows)
        lines = [self.name, *(f"  {what:<{width}}  {value}" for what, value in rows)]
        return "\n".join([*lines, *(f"warning: {sentence}" for sentence in self.warnings)])


def _modality_rows(m: ModalityDescription) -> Iterator[tuple[str, str]]:
    yield f"{m.name}: dimensions", f"{m.dim:,}"
    yield f"{m.name}: missing / NaN / zero rows", f"{m.missing:,} / {m.nan_rows:,} / {m.zero_rows:,}"
    yield f"{m.name}: rows equal to another", f"{m.repeated_rows:,}"
    yield f"{m.name}: length (min / median / max)", _spread(m.norm)
    if m.neighbours is not None:
        yield f"{m.name}: published neighbours (items without self)", f"{m.neighbours} ({m.without_self:,})"


def _spread(spread: Spread) -> str:
    return " / ".join(f"{value:,.4g}" if value < 1000 else f"{value:,.0f}" for value in spread)
