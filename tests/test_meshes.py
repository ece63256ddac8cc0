"""Components inside `shard_map` with its checks on: two devices find what one does."""

import os
import pathlib
import subprocess
import sys

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from jmmrec.graph import bipartite, k_means, nearest, propagate, propagate_bipartite
from jmmrec.losses import Variant, info_nce, mine, select, virtual_triplets
from jmmrec.ot import SinkhornConfig, solve
from jmmrec.retrieval import extremes, top_n

rng = np.random.default_rng(0)
user, item = (jnp.asarray(rng.normal(size=(n, 8)), jnp.float32) for n in (60, 40))
graph = bipartite(np.unique(rng.integers(0, 40, size=(200, 2)), axis=0), 60, 40)
rows, columns, all_of = P("d"), P(None, "d"), P()
mesh = Mesh(np.array(jax.devices()), ("d",))

def virtual(user, item):
    return virtual_triplets(user, item, *mine(user, item, 2), reduction="sum")

def nce(query, keys):
    return info_nce(query, keys, jnp.arange(len(query)), reduction="sum")

def steps(user, item):
    return sum((table**2).sum() for table in propagate_bipartite(graph, user, item))

def each(function):
    return lambda tables, *rest: jax.tree.map(lambda a: a[None], function(tables[0], *rest))

def weighed(values, user):
    side = graph.item_user.replace(values=values)
    return (propagate(side, user, value_gradient=True) ** 2).sum()

both = jnp.stack([item, item[::-1]])
draw, few = jax.random.key(0), SinkhornConfig(cold_iterations=5)
for name, function, given, arguments, found in (
    ("top_n", lambda s: top_n(s, 3), (rows,), (user @ item.T,), rows),
    ("extremes", lambda u, i: extremes(u, i, 3, 2), (rows, all_of), (user, item), rows),
    ("select", lambda u, i: select(u, i, 3, Variant(tau=0.3)), (rows, all_of), (user, item), rows),
    ("triplets", jax.grad(virtual), (rows, all_of), (user, item), rows),
    ("nce", jax.grad(nce), (rows, all_of), (user, item[jnp.arange(60) % 30]), rows),
    ("nce of keys", jax.grad(nce, 1), (rows, all_of), (user, item), all_of),
    ("propagate", jax.grad(steps, (0, 1)), (columns, columns), (user, item), columns),
    ("values", jax.grad(weighed), (all_of, columns), (graph.item_user.values, user), all_of),
    ("nearest", each(lambda x: nearest(x, 3)), (rows,), (both,), rows),
    ("k-means", each(lambda x: k_means(draw, x, 4)), (rows,), (both,), rows),
    ("transport", each(lambda x, y: solve(x, y, None, few).potentials), (rows, all_of), (both, user), rows),
):
    here = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=given, out_specs=found))(*arguments)
    halves = [[a if spec == all_of else jnp.split(a, 2, 1 if spec == columns else 0)[half]
               for a, spec in zip(arguments, given)] for half in (0, 1)]
    alone = list(map(jax.jit(lambda half: function(*half)), halves))
    if found == all_of:  # jax adds up what devices find for what they share
        expected = jax.tree.map(jnp.add, *alone)
    else:
        expected = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1 if found == columns else 0), *alone)
    for a, b in zip(jax.tree.leaves(here), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)
    print(name)
"""


def test_components_stand_inside_shard_map() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    root = pathlib.Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), **flags}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 11
