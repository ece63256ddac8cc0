"""Masks drawn by rate and pattern: which items lose which modalities.

A mask is bool (n_items, M), True where the item's features of that modality may be seen. All draws are nested: with the
same seed a larger rate hides everything that a smaller one hides. Draws of a modality are keyed by its name, or made
over sorted names, so the order of modalities changes nothing.
"""

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np

from jmmrec.errors import ConfigError, check_choice, check_range, check_whole

PROTOCOLS = {
    "item_subset": "rate x items; each loses a random part of its modalities, never all",
    "item_one": "rate x items; each loses one modality",
    "item_pattern": "rate x items; every set of lost modalities as often, all of them M times as often",
    "entry_protected": "rate x entries (item and modality), one of each item protected",
    "entry_bernoulli": "each entry by chance",
    "per_modality": "rate x items of each modality, independently",
    "same_items": "rate x items; each loses everything",
}
KEEP_ONE = ("entry_bernoulli", "per_modality")
ORDER, PLACE, CHOICE, CHANCE, TIE = range(5)  # independent random streams


def draw_mask(
    n_items: int,
    names: Sequence[str],
    rate: float,
    protocol: str = "item_subset",
    seed: int = 0,
    *,
    keep_one: bool = False,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """Which entries may be seen.

    With N items, M modalities and rate r, [x] the whole part of x:
      * `item_subset`: [rN] items, each without a uniformly drawn non-empty proper subset of its modalities.
      * `item_one`: [rN] items, each without one modality; the same as `item_subset` for two modalities.
      * `item_pattern` (DGMRec): [rN] items; the 2^M - 2 proper subsets as often as each other and everything M times
        as often, counted off along the order of the items, so that shares are exact for every rate.
      * `entry_protected` (MoDiCF): one modality of each item is protected, [rNM] of the N(M - 1) others are hidden.
      * `entry_bernoulli`: each entry is hidden with chance r.
      * `per_modality`: each modality loses [rN] items of its own.
      * `same_items`: [rN] items lose everything. `single:NAME`: [rN] items lose that modality.

    Args:
      names: of the modalities, in the order of the columns. rate: in [0, 1].
      keep_one: for `entry_bernoulli` and `per_modality`: an item that would lose everything keeps what it would have
        lost last (a uniform choice that leaves the draws nested).
      strata: (n_items,) labels; the protocols that count items hide the same share of each.

    Returns:
      bool (n_items, M), True where observed.

    Raises:
      ConfigError: an unknown protocol or modality, a rate outside its range, or `keep_one` where it means nothing.

    >>> int(draw_mask(10, ["image", "text"], 0.5).sum())
    15
    """
    check_range("missing rate", rate, 0, 1)
    check_whole("missing seed", seed, 0, 2**63 - 1)
    _check_protocol(protocol, names, keep_one, strata is not None)
    ordered = sorted(names)
    draw = _Draw(n_items, ordered, float(rate), seed, keep_one, strata)
    kind, _, which = str(protocol).partition(":")
    hidden = draw.single(which) if kind == "single" else getattr(draw, kind)()
    return ~hidden[:, [ordered.index(name) for name in names]]


def _check_protocol(protocol: str, names: Sequence[str], keep_one: bool, strata: bool) -> None:
    kind, _, which = str(protocol).partition(":")
    if kind == "single":
        check_choice("modality of missing protocol single:NAME", which, names)
    else:
        check_choice("missing protocol", protocol, (*PROTOCOLS, "single:NAME"))
    if keep_one and kind not in KEEP_ONE:
        raise ConfigError(f"keep_one belongs to {' and '.join(KEEP_ONE)}; leave it out with {protocol}.")
    if strata and kind.startswith("entry_"):
        raise ConfigError(f"{protocol} counts no items, so strata change nothing; leave them out.")
    if len(names) < 2 and kind in ("item_subset", "item_one", "entry_protected"):
        raise ConfigError(
            f"{protocol} always leaves an item one modality, and there is only {len(names)}; "
            "use same_items or per_modality."
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Draw:
    """One method for each protocol; all return bool (n_items, M), True where hidden, in the order of `names`."""

    n: int
    names: Sequence[str]
    rate: float
    seed: int
    keep_one: bool
    strata: np.ndarray | None

    def item_subset(self) -> np.ndarray:
        """A share of the items, each without a random non-empty proper subset of its modalities."""
        return self._spread(1 + self._below(2 ** len(self.names) - 2))

    def item_one(self) -> np.ndarray:
        """A share of the items, each without one of its modalities."""
        return self._spread(1 << self._below(len(self.names)))

    def item_pattern(self) -> np.ndarray:
        """A share of the items: each proper subset goes missing as often, everything M times as often."""
        m = len(self.names)
        codes = np.concatenate([np.arange(1, 2**m - 1), np.full(m, 2**m - 1)])
        codes = codes[np.argsort(self._random(CHOICE, len(codes)))]
        return self._spread(codes[self._ranks()[1] % len(codes)])

    def entry_protected(self) -> np.ndarray:
        """A share of all entries, every item keeping one."""
        m = len(self.names)
        most = (m - 1) / m
        if self.rate > most + 1e-12:
            raise ConfigError(
                f"missing rate is {self.rate} but entry_protected leaves each item one of {m} modalities, so at most "
                f"{most:.4g} of the entries can be hidden; lower it, or use item_subset, which counts items."
            )
        order = self._random(CHANCE, (self.n, m))
        order[np.arange(self.n), self._below(m)] = np.inf
        hidden = np.zeros(self.n * m, bool)
        hidden[np.argsort(order, axis=None, kind="stable")[: self._count(self.n * m)]] = True
        return hidden.reshape(self.n, m)

    def entry_bernoulli(self) -> np.ndarray:
        """Every entry by chance."""
        chance = np.stack([self._random(CHANCE, self.n, name) for name in self.names], axis=1)
        return self._kept(chance < self.rate, chance)

    def per_modality(self) -> np.ndarray:
        """The same share of every modality."""
        rank = np.stack([self._ranks(name)[0] for name in self.names], axis=1)
        tie = np.stack([self._random(TIE, self.n, name) for name in self.names], axis=1)
        return self._kept(rank < self._count(self.n), rank + tie)

    def same_items(self) -> np.ndarray:
        """A share of the items, each without everything."""
        return np.repeat(self._chosen()[:, None], len(self.names), axis=1)

    def single(self, which: str) -> np.ndarray:
        """A share of the items without this one modality."""
        return self._chosen()[:, None] & (np.array(self.names) == which)

    def _kept(self, hidden: np.ndarray, when: np.ndarray) -> np.ndarray:
        if self.keep_one:
            rows = np.flatnonzero(hidden.all(axis=1))
            hidden[rows, when[rows].argmax(axis=1)] = False
        return hidden

    def _spread(self, codes: np.ndarray) -> np.ndarray:
        """The chosen items without the modalities whose bits are set."""
        lost = codes[:, None] >> np.arange(len(self.names)) & 1 == 1
        return lost & self._chosen()[:, None]

    def _chosen(self) -> np.ndarray:
        return self._ranks()[0] < self._count(self.n)

    def _count(self, of: int) -> int:
        return int(np.floor(self.rate * of + 1e-9))  # 0.29 x 100 is 29

    def _ranks(self, key: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Each item's place in the order of hiding, and its place within its stratum."""
        place = self._random(PLACE if key else ORDER, self.n, key)
        strata = np.zeros(self.n, int) if self.strata is None else np.unique(self.strata, return_inverse=True)[1]
        order = np.lexsort((place, strata))
        sizes = np.bincount(strata)
        within = np.empty(self.n, int)
        within[order] = np.arange(self.n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rank = np.empty(self.n, int)
        rank[np.lexsort((place, (within + 0.5) / sizes[strata]))] = np.arange(self.n)
        return rank, within

    def _below(self, high: int) -> np.ndarray:
        """int (n,) uniform in [0, high)."""
        return (self._random(CHOICE, self.n) * high).astype(np.int64)

    def _random(self, stream: int, shape: int | tuple[int, ...], key: str = "") -> np.ndarray:
        return np.random.Generator(np.random.PCG64([self.seed, stream, zlib.crc32(key.encode())])).random(shape)
