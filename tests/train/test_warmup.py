"""Every transition of the warm-up machines, and every odd line of the paper's Algorithm 1."""

import math

import pytest

from jmmrec.errors import ConfigError
from jmmrec.train import WarmupConfig
from jmmrec.train.warmup import Dynamic, Hybrid, Never, Static, WarmupState, policy_from, policy_record


def run(policy, losses) -> list[bool]:
    """Whether each epoch has the virtual loss, and whether the one after the last would."""
    state = policy.start()
    active = [state.active]
    for epoch, loss in enumerate(losses):
        state = policy.update(state, epoch, loss)
        active.append(state.active)
    return active


def first(policy, losses) -> int | None:
    active = run(policy, losses)
    return active.index(True) if True in active else None


FLAT = [1.0] * 100
HALVING = [2.0**-e for e in range(12)]


# Convention table, first epoch counted from 1: text T + 1, Algorithm 1 max(T, 1), public code T + 2.
@pytest.mark.parametrize("threshold", [0, 1, 2, 5, 10, 20, 40, 80])
@pytest.mark.parametrize(
    ("rule", "from_one"), [("text", lambda t: t + 1), ("alg1", lambda t: max(t, 1)), ("code", lambda t: t + 2)]
)
def test_static_conventions(threshold, rule, from_one) -> None:
    assert first(Static(threshold, rule), FLAT) == from_one(threshold) - 1 == Static(threshold, rule).first


def test_static_zero() -> None:
    assert run(Static(0, "text"), FLAT[:3]) == [True] * 4
    assert run(Static(0, "alg1"), FLAT[:3]) == [True] * 4
    assert run(Static(0, "code"), FLAT[:3]) == [False, True, True, True]


def test_static_ignores_the_loss() -> None:
    assert run(Static(3), FLAT[:6]) == run(Static(3), HALVING[:6]) == [False] * 3 + [True] * 4


def test_code_rule_starts_in_the_fifth_epoch_at_the_earliest() -> None:
    """Checked at the end of epoch e* >= 3, active from the next: e* + 2 counted from 1."""
    assert first(Dynamic(0.1), FLAT) == 4
    assert first(Dynamic(0.1, min_epoch=1), FLAT) == 2


def test_code_rule_divides_by_the_new_loss() -> None:
    """(P - T) / T < g, strictly: from 1.25 to 1.0 is 0.25 of the new loss, 0.2 of the old."""

    def after(gap):
        return Dynamic(gap).update(WarmupState(previous=1.25), 3, 1.0).active

    assert not after(0.22) and not after(0.25) and after(0.251)


def test_code_rule_passes_a_rising_loss() -> None:
    assert first(Dynamic(0.1), [1.0, 0.5, 0.25, 0.125, 0.06, 0.2]) == 6


def test_code_rule_never_passes_while_falling_fast() -> None:
    assert first(Dynamic(0.4), HALVING) is None


def test_lgmrec_degenerates() -> None:
    """Its published losses change by 5.3 %, 0.4 %, 0.31 %, 0.26 %: every g gives the same run."""
    losses = [1.0]
    for change in (0.053, 0.004, 0.0031, 0.0026, 0.0026):
        losses.append(losses[-1] * (1 - change))
    assert {first(Dynamic(g), losses) for g in (0.1, 0.2, 0.3, 0.4, 0.5)} == {4}


def test_abs_rule_refuses_a_jump() -> None:
    def after(loss, rule):
        return Dynamic(0.125, rule).update(WarmupState(previous=1.0), 3, loss).active

    assert after(1.5, "code") and not after(1.5, "abs")
    assert after(0.875, "abs") and after(1.125, "abs") and not after(0.87, "abs")
    assert first(Dynamic(0.1, "abs"), FLAT) == 4


def test_alg1_rule_passes_every_falling_loss_at_the_second_pass() -> None:
    """Line 10 as printed; its own guard L^P != 0 holds only from the second pass on."""
    for gap in (0.1, 0.5):
        assert first(Dynamic(gap, "alg1"), HALVING) == 2
    assert first(Dynamic(0.1, "alg1"), [1.0, 1.09]) == 2
    assert first(Dynamic(0.1, "alg1"), [1.0, 1.2, 1.5]) is None


def test_once_on_never_off() -> None:
    for policy in (Static(1), Dynamic(0.1), Dynamic(0.1, "abs"), Dynamic(0.1, "alg1")):
        active = run(policy, [*FLAT[:8], 5.0, 0.1, 0.01, 0.001])
        assert active == sorted(active) and active[-1]


def test_what_is_compared_is_the_loss_before_activation() -> None:
    """Line 18 mixes the total of Eq. 9 with the plain loss; after activation nothing is compared any more."""
    state = Dynamic(0.1).update(WarmupState(previous=1.0), 5, 0.99)
    assert state == WarmupState(True, 6, 0.99)
    assert Dynamic(0.1).update(state, 6, 123.0) == state
    later = Static(2).update(Static(2).update(Static(2).start(), 0, 3.0), 1, 2.0)
    assert later == WarmupState(True, 2, 2.0) and Static(2).update(later, 2, 9.0) == later


def test_state_is_a_value() -> None:
    start = Dynamic().start()
    assert Dynamic().update(start, 0, 1.0) == WarmupState(previous=1.0)
    assert start == WarmupState()


def test_nan_does_not_switch_on() -> None:
    for rule in ("code", "abs", "alg1"):
        assert not Dynamic(0.1, rule).update(WarmupState(previous=1.0), 5, math.nan).active


def test_never() -> None:
    assert run(Never(), FLAT) == [False] * 101


@pytest.mark.parametrize(
    ("current", "span", "expected"), [(4, 2, (2, 3, 4, 5, 6)), (1, 3, (0, 1, 2, 3, 4)), (0, 0, (0,))]
)
def test_hybrid_candidates_are_clipped_integers(current, span, expected) -> None:
    assert Hybrid(span=span).candidates(current) == expected


def test_hybrid_keeps_the_dynamic_run_on_ties() -> None:
    """Line 42 compares strictly."""
    assert Hybrid().choose({2: 0.3, 3: 0.3, 4: 0.3}, 4) == 4
    assert Hybrid().choose({2: 0.31, 3: 0.31, 4: 0.3}, 4) == 2
    assert Hybrid().choose({4: 0.3, 5: 0.2}, 4) == 4


@pytest.mark.parametrize("policy", [Never(), Static(5, "code"), Dynamic(0.3, "abs", 2)])
def test_records_there_and_back(policy) -> None:
    assert policy_from(policy_record(policy)) == policy


def test_a_lone_threshold_is_one_of_several() -> None:
    assert WarmupConfig("static", thresholds=5).thresholds == (5,)  # pyright: ignore[reportArgumentType]
    assert WarmupConfig("static", thresholds=[5, 10]).thresholds == (5, 10)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WarmupConfig("static", thresholds=None), "threshold is None"),  # pyright: ignore
        (lambda: WarmupConfig("static", thresholds="five"), "threshold is 'five'"),  # pyright: ignore
        (lambda: Static(-1), "threshold is -1"),
        (lambda: Static(1, "paper"), "static_rule is 'paper'"),
        (lambda: Dynamic(0.0), "gap is 0.0"),
        (lambda: Dynamic(0.1, "signed"), "dynamic_rule is 'signed'"),
        (lambda: Dynamic(min_epoch=0), "min_epoch is 0"),
        (lambda: Hybrid(span=-1), "span is -1"),
    ],
)
def test_wrong_options(make, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
