"""What all tests share: the CPU, a compilation cache that survives the run, and where data and fixtures lie."""

import importlib.metadata
import os
import pathlib
import sys
from collections.abc import Callable, Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / ".pytest_cache" / "jax"
DONE = pytest.StashKey[tuple[int, str | None]]()

# Read by jax when it is first imported, here and in the processes that tests start.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nearly all of the suite's time is compilation of small programs: XLA's own optimisation is off, which makes it twice
# as fast. `XLA_FLAGS= make test` compiles as users do. A later jaxlib may not know the flags, and would abort.
if importlib.metadata.version("jaxlib") < "0.12":
    quick = ("use_fusion_emitters=false", "parallel_codegen_split_count=1")
    flags = ["--xla_backend_optimization_level=0", *(f"--xla_cpu_{flag}" for flag in quick)]
    os.environ.setdefault("XLA_FLAGS", " ".join(flags))
# Each worker has a folder of its own: jax does not write such files in one piece, and half of one crashes its reader.
FOLDER = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(FOLDER, os.environ["PYTEST_XDIST_WORKER"])
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Each cached program would otherwise print two lines of CPU features (openxla: cpu_aot_loader) into stderr.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


# What a test compiles with where it is about the program that users run.
AS_USERS = {"xla_cpu_use_fusion_emitters": True, "xla_backend_optimization_level": 3}


def folder(variable: str, default: str) -> pathlib.Path:
    """The folder that an environment variable names, or the default beside the repository."""
    return pathlib.Path(os.environ.get(variable) or ROOT / default).resolve()


def existing(path: pathlib.Path, variable: str) -> pathlib.Path:
    """The path, or a skip that says what is missing and how to name another place."""
    if not path.is_dir():
        pytest.skip(f"no folder {path.name} in {path.parent}; name its place by {variable}")
    return path


def model_of(item: pytest.Item) -> str | None:
    """The parameter `name` of a test, which is a model's in most."""
    name = item.callspec.params.get("name") if hasattr(item, "callspec") else None  # pyright: ignore
    return name if isinstance(name, str) else None


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one model go to one worker (--dist loadgroup), where its programs are compiled once."""
    for item in items:
        if name := model_of(item):
            item.add_marker(pytest.mark.xdist_group(name))


@pytest.fixture(autouse=True)
def bounded_memory(request) -> Iterator[None]:
    """Compiled programs are let go of now and then: those of a thousand tests would take several GB."""
    stash, name = request.config.stash, model_of(request.node)
    done, last = stash.get(DONE, (0, None))
    if done >= 40 and (name is None or name != last) and "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        done = 0
    stash[DONE] = done + 1, name
    yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory) -> Iterator[None]:
    """Neighbours that tests compute are kept in a folder of this run, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JMMREC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_root() -> pathlib.Path:
    """Folder of the real data sets."""
    return existing(folder("JMMREC_DATA", "../shared/data"), "JMMREC_DATA")


@pytest.fixture(scope="session")
def fixtures_root() -> pathlib.Path:
    """Folder of what the PyTorch models output for fixed parameters and inputs."""
    return existing(folder("JMMREC_FIXTURES", "../shared/fixtures/small-a"), "JMMREC_FIXTURES")


@pytest.fixture(scope="session")
def real_data(data_root: pathlib.Path) -> Callable[[str], pathlib.Path]:
    """`real_data(name)` is the folder of that data set, or a skip."""
    return lambda name: existing(data_root / name, "JMMREC_DATA")
