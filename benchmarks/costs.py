"""What a step must at least cost: bytes that have to move, operations of the projections. A floor, not a model.

Bytes of one step, 4 for each number, every table counted once however often the caches serve it:

    optimiser    8 P                 Adam reads gradient, both moments and parameters and writes the last three;
                                     the gradient was written before; P is the number of trained values
    graph        2 L (4 E + 2 n d)   L layers, forward and backward: two products read a value and a column of E
                                     entries each, read n rows of width d together and write n; n users and items
    item graph   2 (2 K + 2 n_i d)   forward and backward over K entries
    projections  Σ_m 2 n_i (D_m + d) features are read forward and backward; results written, gradients read
    batch        3 b d + n d         rows gathered; their gradients spread over the tables

Operations: Σ_m 2 n_i D_m d, times 2 with the weight's gradient, times 3 where features are trained as well.
"""

import dataclasses

from benchmarks.machine import Rates

WIDTH = 64


@dataclasses.dataclass(frozen=True)
class Work:
    """Sizes of one training step.

    Attributes:
      parameters: trained values. edges: user-item pairs propagated over. layers: of propagation. batch: rows.
      item_links: entries of the item graph, once for each step over it. features: width of each modality.
      trained: whether features are trained. width: of the tables.
    """

    n_users: int
    n_items: int
    parameters: int
    edges: int
    layers: int
    batch: int
    item_links: int = 0
    features: tuple[int, ...] = ()
    trained: bool = False
    width: int = WIDTH


def step_bytes(work: Work) -> int:
    """Bytes that one step must move, see the formula above.

    >>> step_bytes(Work(1, 1, parameters=128, edges=1, layers=0, batch=0))
    4608
    """
    nodes, d = work.n_users + work.n_items, work.width
    graph = 2 * work.layers * (4 * work.edges + 2 * nodes * d)
    items = 2 * (2 * work.item_links + 2 * work.n_items * d) if work.item_links else 0
    projections = sum(2 * work.n_items * (wide + d) for wide in work.features)
    return 4 * (8 * work.parameters + graph + items + projections + 3 * work.batch * d + nodes * d)


def step_operations(work: Work) -> int:
    """Operations of the projections in one step.

    >>> step_operations(Work(1, 10, parameters=0, edges=0, layers=0, batch=0, features=(100,), width=2))
    8000
    """
    passes = 3 if work.trained else 2
    return passes * sum(2 * work.n_items * wide * work.width for wide in work.features)


def share(work: Work, rates: Rates, seconds: float) -> float:
    """Part of a step's seconds that its bytes and its projections must take at the measured rates.

    >>> share(Work(1, 1, parameters=128, edges=1, layers=0, batch=0), Rates(4608.0, 1.0), seconds=2.0)
    0.5
    """
    return (step_bytes(work) / rates.bytes + step_operations(work) / rates.operations) / seconds
