"""The benchmarks run and compare like with like; no time is asserted."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.accuracy import COLD, accuracy
from benchmarks.accuracy import MODES as MODES_OF_PLANS
from benchmarks.backbones import TOOLBOX, backbones
from benchmarks.calibration import THERE, calibration, slowdowns
from benchmarks.count import Count, adam, count
from benchmarks.generation import amortised, generation, one_step
from benchmarks.generation import model as ci2mg
from benchmarks.machine import Probe, Rates
from benchmarks.measure import Line, Spread, alternate, lines_of
from benchmarks.propagation import programs
from benchmarks.report import cells, markdown, placed
from benchmarks.search import mine_whole, product, rank_whole, tables
from benchmarks.setting import ROOT, Setting, baby_folder, power_law, setting, widened
from benchmarks.training import MODELS, epochs, floor, loop, must, ready, scan, seeds, virtual
from benchmarks.transport import clouds, compiled, transport
from jmmrec.losses import mine
from jmmrec.models import MODELS as REGISTERED
from jmmrec.models import Freedom
from jmmrec.retrieval import exclusion, extremes


@pytest.fixture(scope="module")
def small() -> Setting:
    data = power_law(80, 40, 300, dim=6).for_training()
    return Setting(data, "here", rounds=(1, 1), users=60, steps=2, batch_size=128, wide=(12, 5), probe=Probe(1000, 8))


def test_generated_graph_has_the_asked_sizes_and_a_long_tail() -> None:
    data = power_law(200, 100, 1500, dim=4)
    assert (len(data.train), len(data.valid), len(data.test)) == (1500, 200, 200)
    assert np.bincount(data.train[:, 0], minlength=200).min() >= 1
    degrees = np.sort(np.bincount(data.train[:, 1], minlength=100))
    assert degrees[-10:].sum() > 3 * degrees[:50].sum() / 5


def test_absent_data_are_replaced_and_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.setting.power_law", lambda: power_law(30, 20, 100, dim=3))
    monkeypatch.setenv("JMMREC_DATA", str(tmp_path))
    assert "generated power-law graph" in setting(quick=True).origin
    with pytest.raises(SystemExit, match="name that of Amazon Baby"):
        setting(str(tmp_path / "baby"))


def test_the_folder_comes_from_the_option_or_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("JMMREC_DATA", "/somewhere")
    assert str(baby_folder()) == "/somewhere/amazon_baby"
    assert str(baby_folder("/else")) == "/else"
    monkeypatch.delenv("JMMREC_DATA")
    assert baby_folder() == ROOT / "../shared/data/amazon_baby"


def test_propagation_variants_agree(small) -> None:
    variants, memory = programs(small)
    (value, gradients), (other, gradient), (third, by_hand) = (run() for run in variants.values())
    ours = np.concatenate([np.asarray(g) for g in gradients])
    np.testing.assert_allclose([other, third], value, rtol=1e-4)
    np.testing.assert_allclose(ours, gradient, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours, by_hand, rtol=1e-4, atol=1e-5)
    assert set(memory) < set(variants)


def test_search_variants_agree(small) -> None:
    user, item = tables(small)
    assert len(user) == 60 and product(user, item).ndim == 2
    for ours, whole in zip(mine(user, item, 2), mine_whole(user, item, 2), strict=True):
        np.testing.assert_array_equal(ours, whole)
    pairs = small.data.train[small.data.train[:, 0] < 60]
    exclude = exclusion(pairs[:, 0], pairs[:, 1], 60, len(item))
    ours = extremes(user, item, 5, exclude=exclude).top
    np.testing.assert_array_equal(ours, rank_whole(user, item, jnp.asarray(pairs), 5))


@pytest.mark.parametrize("name", MODELS)
def test_scan_and_loop_compute_the_same_losses(small, name) -> None:
    what = ready(MODELS[name], small.data, small.batch_size)
    (once, _), (steps, _) = scan(what), loop(what)
    log = once()[1]
    np.testing.assert_allclose(log["loss"], [float(one["loss"]) for one in steps()], rtol=1e-5)


def test_epochs_say_what_they_must_cost(small, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.training.MODELS", {})
    ours, other = epochs(small)
    assert "epochs/s" in other.note and "of it must be: products" in ours.note
    assert ours.part == "2 steps of FREEDOM, trained features 12 + 5 wide"


def test_seeds_run(small) -> None:
    assert [len(line.seconds) for line in seeds(small, 2)] == [1, 1]


def test_virtual_triplets_run(small) -> None:
    lines = virtual(small)
    assert len(lines) == 3 and all(line.note.endswith("ms a step") for line in lines)


def test_floors_of_models(small) -> None:
    """By hand: six products of each wide feature table in FREEDOM, eight sparse products of two layers in LightGCN."""
    data = widened(small.data, small.wide)
    freedom = ready(Freedom(), data, 128)
    assert floor(freedom).operations == pytest.approx(6 * 40 * 17 * 64, rel=0.01)
    light, nodes = ready(MODELS["LightGCN"], data, 128), 120 * 64
    product = 4 * (2 * 300 + nodes) + 2 * (81 + 41)
    assert floor(light).bytes == 8 * product + adam(light.fresh().params).bytes
    assert adam(light.fresh().params).bytes == 32 * nodes


def test_counting_goes_into_loops_and_branches() -> None:
    def program(x):
        x = jax.lax.scan(lambda c, _: (jax.jit(jnp.dot)(c, c), None), x, length=3)[0]
        return jax.lax.cond(x[0, 0] > 0, jnp.exp, lambda v: v @ v, x)

    assert count(program, jnp.ones((2, 2))) == Count(operations=3 * 16 + 16)

    def seldom(x):  # as a graph that the first step of an epoch builds
        def _step(c, n):
            return jax.lax.cond(n == 0, lambda c: c @ c @ c, lambda c: c @ c, c), None

        return jax.lax.scan(_step, x, jnp.arange(5))[0]

    assert count(seldom, jnp.ones((2, 2))) == Count(operations=5 * 16 + 16)
    assert "50% of it must be: products 50%" in must(Count(1.0), Rates(1.0, 1.0, 1.0), 2.0)


def test_every_backbone_is_measured(small, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.backbones.slowdowns", lambda seconds: [2.0])
    lines = backbones(small, ("bpr", "ncl"))
    assert [line.what for line in lines] == ["bpr", "ncl"] and all(line.bytes for line in lines)
    assert "s an epoch (toolbox 1.2 s: " in lines[0].note and "toolbox" not in lines[1].note
    once, even = re.search(r"([\d.]+)x as it stands, ([\d.,]+) \(", lines[0].note).groups()
    assert float(even.replace(",", "")) == pytest.approx(2 * float(once), rel=0.01, abs=0.2)
    assert set(TOOLBOX) <= set(REGISTERED)


def test_this_machine_is_held_against_the_toolboxs(small) -> None:
    lines = calibration(small)
    assert [line.what for line in lines] == list(THERE)
    assert slowdowns({line.what: line.seconds for line in lines}) == [
        min(line.seconds[0] / THERE[line.what] for line in lines)
    ]
    assert lines[1].note.startswith("32 ms there: ")


def test_transport_variants_agree(small, monkeypatch) -> None:
    found, fault = compiled(96)
    (f, _), *others = (program(*clouds(96)) for program in found.values())
    assert others and (len(others) == 2) == (not fault)
    for other, _ in others:
        np.testing.assert_allclose(f, other, atol=1e-5)
    monkeypatch.setattr("benchmarks.transport.SMALL", (96,))
    lines = transport(small)
    assert lines[0].what == "ours" and lines[0].bytes and lines[1].note == fault


def test_images_are_compared_with_the_exact_plans(small) -> None:
    """At small sizes: dense is exact, errors fall with iterations, and every line tells all three kinds of clouds."""
    lines = accuracy(small)
    errors = {line.what: re.findall(r"[\d.]{5}", line.note) for line in lines}
    assert list(errors) == [*MODES_OF_PLANS, *(f"{count} cold iterations" for count in COLD)]
    assert len(errors["dense"]) == 3 and len(errors["minibatch:128"]) == 6
    assert float(errors["dense"][0]) <= 1e-3 <= float(errors["prototype:64"][0])
    imputed = [float(errors[f"{count} cold iterations"][2]) for count in COLD]
    assert imputed == sorted(imputed, reverse=True)


def test_what_is_done_once_an_epoch_is_timed_apart(small) -> None:
    lines = generation(small)
    steps = [line for line in lines if line.part.startswith("CI2MG on Baby")]
    once, plain, share, solving = (line.seconds[0] for line in steps)
    assert share == pytest.approx(plain + once / 1) and steps[0].bytes
    assert steps[3].ratio == Spread.of([solving / share]) and "an epoch of 1 steps" in steps[2].note
    assert "40 items, steps of 1,024 rows" in steps[0].part and len(lines) == 2 * 4 + 2


def test_a_step_takes_the_transport_of_its_epoch(small) -> None:
    """The first step after the hook is the first of the trainer's epoch."""
    for refresh in ("epoch", "step"):
        what = ready(ci2mg(refresh), small.data, 1024)
        (_, log), (_, whole) = one_step(what)[0](), scan(what)[0]()
        np.testing.assert_allclose(log["loss"], whole["loss"][0], rtol=1e-4)


def test_shares_of_an_epoch() -> None:
    seconds = {"once an epoch": (20.0, 30.0), "a step": (1.0, 2.0), "a step that solves": (2.0, 6.0)}
    lines = amortised("p", seconds, {}, 10)
    assert lines[2].seconds == (3.0, 5.0) and lines[2].note == "40 s an epoch of 10 steps"
    assert lines[3].ratio == Spread.of([2 / 3, 6 / 5])


def test_variants_take_turns() -> None:
    order: list[str] = []
    seconds = alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b", "a", "b", "b", "a"]
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_ratios_are_paired_within_rounds() -> None:
    line = Line("part", "theirs", (2.0, 9.0, 8.0), (1.0, 3.0, 1.0))
    assert line.ratio == Spread(3.0, 2.0, 8.0)
    assert cells(line)[2] == "3 (2–8)"


def test_markdown_has_a_table_for_each_part_between_the_marks_of_a_page() -> None:
    text = markdown([*lines_of("one", {"ours": (1.0,), "theirs": (3.0,)}), Line("two", "x", (1.0,))], ["Head."])
    assert text.startswith("Head.\n") and text.count("### ") == 2 and text.count("| --- |") == 4
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    changed = placed(page, text)
    assert changed.startswith(page[:100]) and text in changed and placed(changed, text) == changed
    assert placed("", text) == text + "\n"
