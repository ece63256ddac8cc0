"""Who is asked about what: the users of a split, their relevant items and the items that may not be recommended."""

import dataclasses

import numpy as np

from jmmrec.errors import DataError
from jmmrec.retrieval.topk import MEMORY, Exclusion, exclusion


@dataclasses.dataclass(frozen=True)
class Questions:
    """The users of one split and what counts as right.

    Attributes:
      users: int32 (n,), those with at least one relevant item, ascending.
      relevant: int64 (m,) sorted keys `place in users * n_items + item`. n_relevant: int64 (n,).
      exclude: masked items of these users, in the order of `users`.
      left_out: users of the split without any training interaction, who are not asked.
    """

    users: np.ndarray
    relevant: np.ndarray
    n_relevant: np.ndarray
    exclude: Exclusion
    n_items: int
    left_out: int

    def hits(self, ranked: np.ndarray) -> np.ndarray:
        """bool (n, k): whether each ranked item is relevant to its user.

        Args:
          ranked: int (n, k) items in the order of `users`.
        """
        keys = np.arange(len(self.users), dtype=np.int64)[:, None] * self.n_items + ranked
        place = np.minimum(np.searchsorted(self.relevant, keys), len(self.relevant) - 1)
        return self.relevant[place] == keys


def questions(
    asked: np.ndarray,
    masked: np.ndarray,
    train: np.ndarray,
    n_users: int,
    n_items: int,
    *,
    cold_users: bool = False,
    memory: int = MEMORY,
) -> Questions:
    """Prepares a split for ranking.

    Args:
      asked: (n, 2) interactions of the evaluated split. masked: (m, 2) interactions that may not be recommended.
      train: (t, 2) training interactions. cold_users: also ask users without any of them.

    Raises:
      DataError: no user is left to ask.

    >>> train, valid = np.array([[0, 0], [1, 1]]), np.array([[0, 2]])
    >>> q = questions(valid, train, train, 2, 3)
    >>> q.users.tolist(), q.hits(np.array([[1, 2]])).tolist()
    ([0], [[False, True]])
    """
    warm = np.zeros(n_users, bool)
    warm[train[:, 0]] = True
    users = np.unique(asked[:, 0])
    kept = users if cold_users else users[warm[users]]
    if not len(kept):
        raise DataError(
            "no user with training interactions has an item in the evaluated split; check the split's labels."
        )
    place = np.full(n_users, -1)
    place[kept] = np.arange(len(kept))
    asked, masked = asked[place[asked[:, 0]] >= 0], masked[place[masked[:, 0]] >= 0]
    relevant = np.sort(place[asked[:, 0]].astype(np.int64) * n_items + asked[:, 1])
    return Questions(
        users=kept.astype(np.int32),
        relevant=relevant,
        n_relevant=np.bincount(relevant // n_items, minlength=len(kept)),
        exclude=exclusion(place[masked[:, 0]], masked[:, 1], len(kept), n_items, memory),
        n_items=n_items,
        left_out=len(users) - len(kept),
    )
