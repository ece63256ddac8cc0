"""What may be wrong with this installation: versions, device, memory, extras, one sum checked."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from typing import NamedTuple

KNOWN_BAD = {
    "0.10.2": "its scatter-add is slow on GPUs; install jax 0.10.1 or a version after 0.11.0",
    "0.11.0": "its scatter-add is slow on GPUs; install jax 0.10.1 or a later version",
}
EXTRAS = {
    "matplotlib": ("plot", "curves"),
    "pyarrow": ("data", "Parquet"),
    "optuna": ("tune", "tuning"),
}


class Finding(NamedTuple):
    """One line: what was looked at, what was found, and `ok`, `warning` or `broken`."""

    name: str
    found: str
    verdict: str = "ok"


def examine() -> list[Finding]:
    """Looks at everything; nothing raises, a check that fails is a finding.

    >>> examine()[0].name
    'python'
    """
    findings = []
    for check in (_python, _versions, _device, _arithmetic, _memory, _disk, _extras, _cache):
        findings += _caught(check)
    return findings


def _caught(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:  # a doctor must outlive what it finds
        return [Finding(check.__name__.strip("_"), f"{type(error).__name__}: {error}"[:200], "broken")]


def _python() -> Iterator[Finding]:
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _versions() -> Iterator[Finding]:
    for name in ("jax", "jaxlib"):
        version = importlib.metadata.version(name)
        reason = KNOWN_BAD.get(version)
        yield Finding(name, f"{version}: {reason}" if reason else version, "warning" if reason else "ok")
    for name in ("jmmrec", "flax", "optax", "numpy", "scipy"):
        yield _installed(name)


def _installed(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not installed as a package; run pip install jmmrec, or pip install -e .", "warning")


def _device() -> Iterator[Finding]:
    import jax

    for device in jax.devices():
        limit = (device.memory_stats() or {}).get("bytes_limit")
        memory = f", {limit / 1e9:.1f} GB" if limit else ""
        yield Finding("device", f"{device.platform}: {device.device_kind}{memory}")
    if jax.default_backend() == "cpu" and shutil.which("nvidia-smi"):
        yield Finding("gpu", "a GPU is here but jax uses the CPU; pip install 'jmmrec[cuda12]'", "warning")
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        yield Finding(
            "precision", "jax_enable_x64 is on: tables take twice the memory; unset JAX_ENABLE_X64", "warning"
        )


def _arithmetic() -> Iterator[Finding]:
    """The operation every graph model lives on, compiled and compared with NumPy."""
    import jax.numpy as jnp
    import numpy as np

    from jmmrec.graph import bipartite, propagate

    rng = np.random.default_rng(0)
    dense = rng.random((40, 30)) < 0.2
    x = rng.standard_normal((30, 8)).astype(np.float32)
    graph = bipartite(np.argwhere(dense), 40, 30, "mean")
    wrong = np.abs(
        np.asarray(propagate(graph.user_item, jnp.asarray(x))) - dense / dense.sum(1, keepdims=True).clip(1) @ x
    ).max()
    good = bool(wrong < 1e-5)
    yield Finding("propagation", f"differs from NumPy by {wrong:.1g} at most", "ok" if good else "broken")


def _memory() -> Iterator[Finding]:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    free = os.sysconf("SC_AVPHYS_PAGES") * size
    yield Finding("memory", f"{pages * size / 1e9:.1f} GB, {free / 1e9:.1f} GB unused; {os.cpu_count()} cores")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    verdict = "warning" if free < 1e9 else "ok"
    yield Finding(
        "disk", f"{free / 1e9:.1f} GB free here" + (": too little for checkpoints" * (verdict != "ok")), verdict
    )


def _extras() -> Iterator[Finding]:
    for package, (extra, purpose) in EXTRAS.items():
        if importlib.util.find_spec(package):
            yield Finding(package, importlib.metadata.version(package))
        else:
            yield Finding(package, f"not installed; for {purpose}: pip install 'jmmrec[{extra}]'", "optional")


def _cache() -> Iterator[Finding]:
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    yield Finding("compile cache", folder or "none; --compile-cache DIR saves compiling again the next time")
