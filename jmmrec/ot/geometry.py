"""ott's point cloud whose kernel is summed in blocks. Importing this module imports ott."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from ott.geometry import costs, pointcloud

from jmmrec.errors import ConfigError
from jmmrec.ot.blocks import BLOCK, log_sums, row_blocks


@jax.tree_util.register_pytree_node_class
class BlockedPointCloud(pointcloud.PointCloud):
    """`ott.geometry.pointcloud.PointCloud` in O((n + m)·block) memory, on any version of jax.

    ott 0.6's own `batch_size` needs a function that jax dropped in 0.9. Here `batch_size` is the block: rows summed
    at a time, each block one product. Squared Euclidean cost only; scale the points, or give a number as
    `scale_cost`, instead of asking for its 'mean' in every iteration.

    >>> cloud = BlockedPointCloud(jnp.zeros((3, 2)), jnp.ones((4, 2)), epsilon=0.5, batch_size=2)
    >>> cloud.apply_lse_kernel(jnp.zeros(3), jnp.zeros(4), 0.5)[0].shape, cloud.is_online
    ((4,), True)
    """

    def __init__(
        self,
        x: jax.Array,
        y: jax.Array | None = None,
        cost_fn: costs.CostFn | None = None,
        batch_size: int | None = BLOCK,
        scale_cost: float | Literal["mean", "max_norm", "max_bound"] = 1.0,
        **kwargs: Any,
    ) -> None:
        if cost_fn is not None and not isinstance(cost_fn, costs.SqEuclidean):
            raise ConfigError(
                f"cost_fn is {type(cost_fn).__name__}; BlockedPointCloud knows the squared Euclidean cost only, so "
                "give rows of unit length for cosines or take ott's PointCloud."
            )
        super().__init__(x, y, cost_fn, batch_size or BLOCK, scale_cost, **kwargs)

    @property
    def _scaled(self) -> tuple[jax.Array, jax.Array]:
        root = jnp.sqrt(self.inv_scale_cost).astype(self.x.dtype)  # ott's constants are float64 under x64
        return self.x * root, self.y * root

    def apply_lse_kernel(
        self, f: jax.Array, g: jax.Array, eps: float, vec: jax.Array | None = None, axis: int = 0
    ) -> tuple[jax.Array, jax.Array]:
        """ε ln of the size of Σ vec·exp((f + g - C)/ε), less the potential of the side that is left, and its sign.

        >>> cloud = BlockedPointCloud(jnp.zeros((2, 1)), epsilon=1.0)
        >>> round(float(cloud.apply_lse_kernel(jnp.zeros(2), jnp.ones(2), 1.0, axis=1)[0][0]), 4)
        1.6931
        """
        x, y = self._scaled
        kept, summed, potential = (y, x, f) if axis == 0 else (x, y, g)
        return log_sums(kept, summed, potential, jnp.asarray(eps, x.dtype), self.batch_size, vec)

    def apply_kernel(self, vec: jax.Array, eps: float | None = None, axis: int = 0) -> jax.Array:
        """Σ vec·exp(-C/ε), for kernel mode (which float32 does not carry at small ε)."""
        eps = self.epsilon if eps is None else eps
        x, y = self._scaled
        kept, summed = (y, x) if axis == 0 else (x, y)
        value, sign = log_sums(kept, summed, jnp.zeros_like(vec), eps, self.batch_size, vec)
        return sign * jnp.exp(value / eps)

    def _apply_cost_to_vec(self, vec, axis=0, fn=None, is_linear=False, scale_cost=None):
        if fn is None or is_linear:
            return super()._apply_cost_to_vec(vec, axis, fn, is_linear, scale_cost)
        scale = self.inv_scale_cost if scale_cost is None else scale_cost
        kept, summed = (self.y, self.x) if axis == 0 else (self.x, self.y)
        return row_blocks(lambda rows: fn(self.cost_fn.all_pairs(rows, summed) * scale) @ vec, kept, self.batch_size)
