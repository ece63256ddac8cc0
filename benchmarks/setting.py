"""What is measured on: Baby's real graph where it is at hand, else a generated one of the same size."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from benchmarks.machine import Probe
from jmmrec.data import Dataset, Modality, TrainingData, load

USERS, ITEMS, TRAIN = 19_445, 7_050, 118_551
ROOT = Path(__file__).resolve().parent.parent
PROBE = Probe()


@dataclasses.dataclass(frozen=True)
class Setting:
    """Data and how hard to try.

    Attributes:
      data: what is trained on. origin: where it comes from, in words.
      rounds: of cheap and of costly comparisons. users: asked in the search parts. steps: of a shortened epoch.
      batch_size: training pairs in a step. wide: widths of the features of the wide FREEDOM.
      probe: of the machine's rates.
    """

    data: TrainingData
    origin: str
    rounds: tuple[int, int] = (7, 3)
    users: int = USERS
    steps: int = 20
    batch_size: int = 2048
    wide: tuple[int, ...] = (4096, 384)
    probe: Probe = PROBE


def baby_folder(given: str | None = None) -> Path:
    """The folder given, or the one in JMMREC_DATA, or the one beside the repository.

    >>> baby_folder("x").name
    'x'
    """
    return Path(given) if given else Path(os.environ.get("JMMREC_DATA") or ROOT / "../shared/data") / "amazon_baby"


def power_law(
    n_users: int = USERS, n_items: int = ITEMS, n_train: int = TRAIN, dim: int = 128, seed: int = 0
) -> Dataset:
    """A graph whose item degrees fall by a power law, as many interactions as asked for, and two modalities.

    Every user has a few items; one item of every user is kept for valid, another for test.

    >>> d = power_law(50, 30, 200, dim=4)
    >>> len(d.train), len(d.valid)
    (200, 50)
    """
    rng = np.random.default_rng(seed)
    popularity = 1.0 / np.arange(1, n_items + 1) ** 0.8
    popularity /= popularity.sum()
    activity = rng.pareto(2.0, n_users) + 0.2
    keys, degree = np.zeros(0, np.int64), np.zeros(n_users, int)
    while len(keys) < n_train + 2 * n_users or degree.min() < 3:
        user = np.concatenate([np.arange(n_users), rng.choice(n_users, n_train, p=activity / activity.sum())])
        item = rng.choice(n_items, len(user), p=popularity)
        keys = np.unique(np.concatenate([keys, user * n_items + item]))
        degree = np.bincount(keys // n_items, minlength=n_users)
    return _split(rng.permutation(keys), n_users, n_items, n_train, dim, rng)


def _split(keys: np.ndarray, n_users: int, n_items: int, n_train: int, dim: int, rng: np.random.Generator) -> Dataset:
    """The first row of every user is tested on, the second validated on; of the rest `n_train` are trained on."""
    keys = keys[np.argsort(keys // n_items, kind="stable")]
    user = keys // n_items
    rank = np.arange(len(keys)) - np.searchsorted(user, user)
    rows = np.stack([user, keys % n_items], axis=1)
    # The third row of every user comes before all others, so that everybody has something to learn from.
    later = np.flatnonzero(rank >= 2)
    later = later[np.lexsort((rng.random(len(later)), rank[later] > 2))][:n_train]
    features = {name: Modality(rng.standard_normal((n_items, dim))) for name in ("image", "text")}
    return Dataset(n_users, n_items, rows[later], rows[rank == 1], rows[rank == 0], features, name="power_law")


def setting(folder: str | None = None, quick: bool = False) -> Setting:
    """Baby, or its generated stand-in, which the report then names.

    Args:
      folder: of Baby. quick: fewer rounds, users and steps, to see that everything runs.
    """
    path = baby_folder(folder)
    if folder and not path.is_dir():
        raise SystemExit(f"there is no folder {path}; name that of Amazon Baby, or leave --data out.")
    if path.is_dir():
        dataset, origin = load(path, inter="baby.inter"), "Amazon Baby, the real training graph"
    else:
        dataset, origin = (
            power_law(),
            f"a generated power-law graph of Baby's size, since there is no folder {path.name}",
        )
    small = {"rounds": (3, 2), "users": 2048, "steps": 4, "wide": (512, 128)} if quick else {}
    return Setting(dataset.for_training(), origin, **small)


def widened(data: TrainingData, widths: tuple[int, ...], seed: int = 0) -> TrainingData:
    """The same data with random features of other widths; the published neighbours stay, so none are computed.

    >>> [m.dim for m in widened(power_law(50, 30, 200, dim=4).for_training(), (8, 2)).modalities.values()]
    [8, 2]
    """
    rng = np.random.default_rng(seed)
    modalities = {
        name: dataclasses.replace(modality, features=rng.standard_normal((data.n_items, width), dtype=np.float32))
        for (name, modality), width in zip(data.modalities.items(), widths, strict=True)
    }
    return dataclasses.replace(data, modalities=modalities)
