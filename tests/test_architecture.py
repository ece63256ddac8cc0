"""The shape of the house: which layer may import which, how long files may be, what `import jmmrec` may load."""

import ast
import json
import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "jmmrec"
FILES = sorted(PACKAGE.rglob("*.py"))

# Left to right; a part imports from itself and from what stands in an earlier row.
LAYERS = (
    ("errors",),
    ("data",),
    ("retrieval",),
    ("graph", "losses", "ot"),
    ("models",),
    ("train",),
    ("report",),
    ("recommendations",),
    ("result",),
    ("runs",),
    ("api", "summary"),
    ("jmmrec",),  # the package itself, jmmrec/__init__.py
    ("augment", "doctor", "demo", "interop", "knockout", "tuning"),
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
LAZY = ("ott", "orbax", "flax.nnx", "matplotlib", "pyarrow", "tyro", "scipy.stats", "pooch", "optuna", "torch")


def part_of(path: pathlib.Path) -> str:
    """The layer's part a file belongs to: its first folder, or its own name."""
    top = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "jmmrec" if top == "__init__" else top


def imported_parts(tree: ast.AST, path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """(line, part) of every import of our own code, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = ("jmmrec", *path.relative_to(PACKAGE).parts[: -node.level])
                base = ".".join([*parents, *filter(None, [base])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            steps = name.split(".")
            if steps[0] == "jmmrec":
                known = len(steps) > 1 and ((PACKAGE / steps[1]).is_dir() or (PACKAGE / f"{steps[1]}.py").exists())
                yield node.lineno, steps[1] if known else "jmmrec"


def violations(source: str, path: pathlib.Path) -> list[str]:
    """One sentence for each import in `source`, taken to stand at `path`, that points to the right or sideways."""
    here = part_of(path)
    return [
        f"{path.relative_to(PACKAGE.parent)}:{line} is in {here!r} and imports from {part!r}"
        for line, part in imported_parts(ast.parse(source), path)
        if part != here and RANK[part] >= RANK[here]
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_left(path: pathlib.Path) -> None:
    assert part_of(path) in RANK, f"{path.name} has no layer yet; give it one in LAYERS"
    assert violations(path.read_text(), path) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("graph/x.py", "import jmmrec.train.loop"),
        ("graph/x.py", "from jmmrec.losses import bpr"),
        ("data/x.py", "def f():\n    from jmmrec import report"),
        ("train/x.py", "from ..report.stats import interval"),
        ("models/x.py", "import jmmrec"),
        ("api.py", "from . import cli"),
    ],
)
def test_a_wrong_import_is_found(file: str, source: str) -> None:
    for part in ("train", "losses", "report", "cli"):  # a name counts as a part once it exists
        if part in source and not (PACKAGE / part).is_dir() and not (PACKAGE / f"{part}.py").exists():
            pytest.skip(f"jmmrec/{part} is not there")
    assert len(violations(source, PACKAGE / file)) == 1


def test_files_stay_short() -> None:
    limits = {p: 150 if part_of(p) == "models" else 400 for p in FILES}
    lengths = {p: len(p.read_text().splitlines()) for p in FILES}
    assert [f"{p.relative_to(PACKAGE)}: {n} lines" for p, n in lengths.items() if n > limits[p]] == []


def modules_after(statement: str) -> set[str]:
    """Names of all modules loaded once a fresh interpreter has run the statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return set(json.loads(done.stdout))


def test_import_is_light() -> None:
    """The promise is 0.3 s beyond `import jax`; what is counted here is what takes that time."""
    loaded = modules_after("import jmmrec")
    heavy = [name for name in LAZY if name in loaded]
    assert heavy == []
    foreign = {name.split(".")[0] for name in loaded - modules_after("import jax")} - {"jmmrec"}
    assert len(loaded - modules_after("import jax")) < 400, f"import jmmrec also loads {sorted(foreign)}"


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_the_suite_opens_no_sockets_and_keeps_what_it_compiled() -> None:
    import jax
    import pytest_socket

    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    assert jax.config.jax_compilation_cache_dir == os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert not jax.config.jax_enable_x64
