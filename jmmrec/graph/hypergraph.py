"""Hypergraphs whose hyperedges are prototypes: soft membership, and convolution in O(n K d); n × n never exists."""

import jax
import jax.numpy as jnp

from jmmrec.errors import check_choice
from jmmrec.retrieval.vectors import safe_norm

MEMBERSHIPS = ("softmax", "relu", "abs", "raw")
HYPER_NORMS = ("rw", "sym")
TINY = 1e-12
SMALL = 1e-3


def directions(x: jax.Array) -> jax.Array:
    """Unit rows; a row shorter than 0.001 has no direction: it is zero and sends no gradient, which would be enormous.

    >>> directions(jnp.array([[0.0, 2.0], [1e-6, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    length = safe_norm(x, axis=-1, keepdims=True)
    return jnp.where(length > SMALL, x / jnp.maximum(length, SMALL), 0.0)


def membership(
    x: jax.Array, prototypes: jax.Array, *, kind: str = "softmax", tau: float = 0.1, topk: int = 0
) -> jax.Array:
    """How much each node belongs to each hyperedge: softmax_k(cos(x_i, e_k) / τ) (CI²MG, Eqs. 3-4).

    Args:
      x: (n, d) nodes. prototypes: (K, d), one for each hyperedge. kind: `softmax`; or `relu` of the cosine, its `abs`,
      or the cosine itself, `raw`. tau: τ of the softmax. topk: only so many hyperedges of each node stay, 0 for all.

    Returns:
      (n, K).

    >>> membership(jnp.eye(2), jnp.eye(2), kind="raw").tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_choice("kind", kind, MEMBERSHIPS)
    cosine = directions(x) @ directions(prototypes).T
    if kind == "softmax":
        shares = jax.nn.softmax(cosine / tau, axis=1)
    else:
        shares = {"relu": jax.nn.relu, "abs": jnp.abs, "raw": jnp.asarray}[kind](cosine)
    if 0 < topk < len(prototypes):
        best = jax.lax.top_k(jax.lax.stop_gradient(shares), topk)[1]  # of equal ones the first
        stay = jnp.put_along_axis(jnp.zeros(shares.shape, bool), best, True, axis=1, inplace=False)
        shares = jnp.where(stay, shares, 0.0)
    return shares


def hypergraph_smooth(members: jax.Array, x: jax.Array, weight: jax.Array | None = None, norm: str = "rw") -> jax.Array:
    """Node to hyperedge and back: D⁻¹ H W B⁻¹ Hᵀ x, with D = diag(H W 1) and B = diag(Hᵀ 1) (CI²MG, Eq. 5).

    With memberships of one sign every row is a weighted mean of the hyperedges' means, so the result has rank K at
    most. Degrees of zero (and for `sym` negative ones) count as 1.

    Args:
      members: H (n, K). x: (n, d). weight: W, (K,) for a diagonal, (K, K) for all, None for the identity.
      norm: `rw`, D⁻¹ on the left (HGNN+), or `sym`, D^-1/2 on both sides (HGNN).

    Returns:
      (n, d).

    >>> hypergraph_smooth(jnp.ones((2, 1)), jnp.array([[1.0], [3.0]])).tolist()
    [[2.0], [2.0]]
    """
    check_choice("norm", norm, HYPER_NORMS)
    weighed = members if weight is None else members * weight if weight.ndim == 1 else members @ weight
    degree, size = _counted(weighed.sum(axis=1)), _counted(members.sum(axis=0))
    if norm == "rw":
        return weighed @ ((members.T @ x) / size[:, None]) / degree[:, None]
    root = jax.lax.rsqrt(jnp.where(degree > 0, degree, 1.0))[:, None]
    return root * (weighed @ ((members.T @ (root * x)) / size[:, None]))


def _counted(degree: jax.Array) -> jax.Array:
    return jnp.where(jnp.abs(degree) > TINY, degree, 1.0)
