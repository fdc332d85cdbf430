import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl.actor.n_step import NStepAccumulator
from distrl.types import ActorStep, Transition


def _array(*values, dtype=np.float32):
    return np.array(values, dtype)


def _add(accumulator, o_tm1, a_tm1, r_t, d_t, last_t, o_t):
    """Adds a step of one environment whose observation is one number."""
    step = ActorStep(
        _array(o_tm1),
        _array(a_tm1, dtype=np.int32),
        _array(r_t),
        _array(d_t),
        _array(last_t, dtype=bool),
        _array(o_t),
    )
    return accumulator.add(step).data


def _assert_batch(batch, expected):
    """Compares a batch with rows (o_tm1, a_tm1, r_t, discount_t, o_t)."""
    rows = list(zip(*batch, strict=True))
    assert len(rows) == len(expected)
    np.testing.assert_allclose(
        np.array(rows, np.float64).reshape(-1, 5), np.reshape(expected, (-1, 5))
    )


def test_one_step_applies_gamma_once():
    accumulator = NStepAccumulator(1, 1, 0.5)
    _assert_batch(_add(accumulator, 0, 1, 2.0, 1.0, 0, 1), [(0, 1, 2.0, 0.5, 1)])
    _assert_batch(_add(accumulator, 1, 0, 3.0, 0.0, 1, 2), [(1, 0, 3.0, 0.0, 2)])


def test_three_steps_and_termination():
    accumulator = NStepAccumulator(1, 3, 0.5)
    _assert_batch(_add(accumulator, 0, 0, 1.0, 1.0, 0, 1), [])
    _assert_batch(_add(accumulator, 1, 1, 2.0, 1.0, 0, 2), [])
    # 1 + 0.5 * 2 + 0.25 * 4 = 3, discount 0.125.
    _assert_batch(_add(accumulator, 2, 2, 4.0, 1.0, 0, 3), [(0, 0, 3.0, 0.125, 3)])
    # From 1: 2 + 0.5 * 4 + 0.25 * 8 = 6; from 2: 4 + 0.5 * 8 = 8; from 3: 8.
    _assert_batch(
        _add(accumulator, 3, 0, 8.0, 0.0, 1, 4),
        [(1, 1, 6.0, 0.0, 4), (2, 2, 8.0, 0.0, 4), (3, 0, 8.0, 0.0, 4)],
    )
    # The next episode begins with an empty window.
    _assert_batch(_add(accumulator, 9, 0, 1.0, 1.0, 0, 10), [])


def test_truncation_bootstraps_with_the_shorter_window():
    accumulator = NStepAccumulator(1, 3, 0.5)
    _add(accumulator, 0, 0, 1.0, 1.0, 0, 1)
    # From 0: 1 + 0.5 * 2 = 2, discount 0.25; from 1: 2, discount 0.5.
    _assert_batch(
        _add(accumulator, 1, 1, 2.0, 1.0, 1, 2),
        [(0, 0, 2.0, 0.25, 2), (1, 1, 2.0, 0.5, 2)],
    )


def test_discounts_of_the_environment_multiply():
    accumulator = NStepAccumulator(1, 2, 0.5)
    _add(accumulator, 0, 0, 1.0, 0.5, 0, 1)
    # 1 + 0.5 * 0.5 * 4 = 2, discount 0.5 * 0.5 * 0.5 * 0.25 = 0.015625 * 2.
    _assert_batch(_add(accumulator, 1, 0, 4.0, 0.25, 0, 2), [(0, 0, 2.0, 0.03125, 2)])


def test_zero_discount_inside_an_episode_cuts_the_return():
    accumulator = NStepAccumulator(1, 2, 0.5)
    _add(accumulator, 0, 0, 1.0, 0.0, 0, 1)
    _assert_batch(_add(accumulator, 1, 0, 4.0, 1.0, 0, 2), [(0, 0, 1.0, 0.0, 2)])


def test_environments_end_alone_and_starts_come_in_order_of_time():
    accumulator = NStepAccumulator(2, 2, 1.0)
    ones, actions = _array(1.0, 1.0), _array(0, 0, dtype=np.int32)

    def add(o_tm1, last_t, o_t):
        o_tm1, o_t = _array(*o_tm1), _array(*o_t)
        step = ActorStep(o_tm1, actions, ones, ones, np.array(last_t), o_t)
        return accumulator.add(step).data

    _assert_batch(add((0, 10), (True, False), (1, 11)), [(0, 0, 1.0, 1.0, 1)])
    # Environment 1 has a full window; environment 0 has just begun again.
    _assert_batch(add((5, 11), (False, False), (6, 12)), [(10, 0, 2.0, 1.0, 12)])
    _assert_batch(
        add((6, 12), (False, True), (7, 13)),
        [(5, 0, 2.0, 1.0, 7), (11, 0, 2.0, 1.0, 13), (12, 0, 1.0, 1.0, 13)],
    )


@pytest.mark.parametrize("n_step", [1, 3])
def test_nests_keep_structure_and_dtype(n_step):
    accumulator = NStepAccumulator(2, n_step, 0.9)
    observation = {
        "pixels": np.zeros((2, 4, 4), np.uint8),
        "rest": (np.zeros((2, 3), np.float32), np.zeros(2, np.int32)),
    }
    step = ActorStep(
        observation,
        np.zeros(2, np.int32),
        np.zeros(2, np.float64),
        np.ones(2),
        np.ones(2, bool),
        observation,
    )
    batch = accumulator.add(step).data
    for nest in (batch.observation_tm1, batch.observation_t):
        assert nest["pixels"].dtype == np.uint8
        assert nest["pixels"].shape == (2, 4, 4)
        assert nest["rest"][0].shape == (2, 3)
        assert nest["rest"][1].dtype == np.int32
    assert batch.action_tm1.dtype == np.int32
    assert batch.reward_t.dtype == batch.discount_t.dtype == np.float32


def test_returned_batches_do_not_change_later():
    accumulator = NStepAccumulator(1, 2, 1.0)
    _add(accumulator, 0, 0, 1.0, 1.0, 0, 1)
    batch = _add(accumulator, 1, 0, 1.0, 1.0, 0, 2)
    for step in range(2, 6):
        _add(accumulator, step, 1, 7.0, 1.0, 0, step + 1)
    _assert_batch(batch, [(0, 0, 2.0, 1.0, 2)])


def _reference(steps, n_step, gamma):
    """The transitions of one environment, step by step, the slow way."""
    out, window = [], []
    for now, (o_tm1, a_tm1, _r_t, _d_t, last_t, o_t) in enumerate(steps):
        window.append((now, o_tm1, a_tm1))
        starts = []
        if last_t:
            starts = list(window)
        elif len(window) == n_step:
            starts = window[:1]
        for start, o_start, a_start in starts:
            total, factor = 0.0, 1.0
            for _, _, r, d, _, _ in steps[start : now + 1]:
                total += factor * r
                factor *= gamma * d
            out.append((now, start, o_start, a_start, total, factor, o_t))
        window = [] if last_t else window[len(starts) :]
    return out


@st.composite
def _runs(draw):
    size = draw(st.integers(1, 4))
    length = draw(st.integers(0, 25))
    seed = draw(st.integers(0, 2**31))
    end_probability = draw(st.sampled_from([0.0, 0.1, 0.4, 1.0]))
    rng = np.random.default_rng(seed)
    last = rng.random((length, size)) < end_probability
    ended = rng.choice([0.0, 1.0], (length, size))
    discount = np.where(last, ended, rng.choice([1.0, 0.5, 0.0], (length, size)))
    reward = rng.normal(size=(length, size))
    action = rng.integers(0, 9, (length, size))
    return last, discount.astype(np.float32), reward.astype(np.float32), action


@settings(deadline=None, max_examples=80)
@given(_runs(), st.integers(1, 6), st.sampled_from([1.0, 0.99, 0.5, 0.0]))
def test_equals_the_slow_reference(run, n_step, gamma):
    last, discount, reward, action = run
    length, size = last.shape
    # Observations name (time, environment), before and after the step.
    before = np.arange(length * size, dtype=np.float32).reshape(length, size, 1)
    after = before + 10_000
    expected = []
    for e in range(size):
        steps = [
            (before[t, e, 0], action[t, e], reward[t, e], discount[t, e])
            + (last[t, e], after[t, e, 0])
            for t in range(length)
        ]
        for now, start, *row in _reference(steps, n_step, gamma):
            expected.append(((now, start, e), row))
    # A call returns starts in order of time, and then by environment.
    rows = [row for _, row in sorted(expected, key=lambda item: item[0])]

    accumulator = NStepAccumulator(size, n_step, gamma)
    batches = []
    for t in range(length):
        action_tm1 = action[t].astype(np.int32)
        step = (before[t], action_tm1, reward[t], discount[t], last[t], after[t])
        batches.append(accumulator.add(ActorStep(*step)).data)
    got = [
        (o[0], a, r, d, o_t[0])
        for batch in batches
        for o, a, r, d, o_t in zip(*batch, strict=True)
    ]
    assert all(isinstance(batch, Transition) for batch in batches)
    assert len(got) == len(rows)
    if rows:
        np.testing.assert_allclose(np.array(got), np.array(rows), rtol=1e-4, atol=1e-5)
