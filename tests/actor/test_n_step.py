import numpy as np
import pytest
from environments.scripted_environments import Scripted, ScriptedBatch
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl.actor.n_step import NStepAccumulator, squash
from distrl.environments import SyncEnvironment, make_spec
from distrl.environments.batch import BatchEnvironment
from distrl.types import ActorStep


def keep(x):
    return x


def add(accumulator, o_tm1, a_tm1, r_t, d_t, last_t, o_t, q=None):
    """Adds a step; returns rows (o_tm1, a_tm1, r_t, discount_t, o_t[, priority])."""
    dtypes = [np.float32, np.int32, np.float32, np.float32, bool, np.float32]
    values = map(np.atleast_1d, (o_tm1, a_tm1, r_t, d_t, last_t, o_t))
    arrays = [x.astype(dtype) for x, dtype in zip(values, dtypes, strict=True)]
    q = None if q is None else np.reshape(q, (len(arrays[0]), -1)).astype(np.float32)
    items = accumulator.add(ActorStep(*arrays, q))
    columns = list(items.data)
    if items.priorities is not None:
        assert items.priorities.dtype == np.float32
        columns.append(items.priorities)
    return [tuple(map(float, row)) for row in zip(*columns, strict=True)]


def test_one_step_applies_gamma_once():
    accumulator = NStepAccumulator(1, 1, 0.5)
    assert add(accumulator, 0, 1, 2.0, 1.0, 0, 1) == [(0, 1, 2.0, 0.5, 1)]
    assert add(accumulator, 1, 0, 3.0, 0.0, 1, 2) == [(1, 0, 3.0, 0.0, 2)]


def test_three_step_returns_end_at_termination():
    accumulator = NStepAccumulator(1, 3, 0.5)
    assert add(accumulator, 0, 0, 1.0, 1.0, 0, 1) == []
    assert add(accumulator, 1, 1, 2.0, 1.0, 0, 2) == []
    # 1 + 0.5 * 2 + 0.25 * 4 = 3, discount 0.125.
    assert add(accumulator, 2, 2, 4.0, 1.0, 0, 3) == [(0, 0, 3.0, 0.125, 3)]
    # From 1: 2 + 0.5 * 4 + 0.25 * 8 = 6; from 2: 4 + 0.5 * 8 = 8; from 3: 8.
    assert add(accumulator, 3, 0, 8.0, 0.0, 1, 4) == [
        (1, 1, 6.0, 0.0, 4),
        (2, 2, 8.0, 0.0, 4),
        (3, 0, 8.0, 0.0, 4),
    ]
    # The next episode begins with an empty window.
    assert add(accumulator, 9, 0, 1.0, 1.0, 0, 10) == []


def test_truncation_bootstraps_from_shorter_windows():
    accumulator = NStepAccumulator(1, 3, 0.5)
    add(accumulator, 0, 0, 1.0, 1.0, 0, 1)
    # From 0: 1 + 0.5 * 2 = 2, discount 0.25; from 1: 2, discount 0.5.
    assert add(accumulator, 1, 1, 2.0, 1.0, 1, 2) == [
        (0, 0, 2.0, 0.25, 2),
        (1, 1, 2.0, 0.5, 2),
    ]


@pytest.mark.parametrize(
    ("discounts", "row"),
    [
        # 1 + 0.5 * 0.5 * 4 = 2, discount 0.5 * 0.5 * 0.5 * 0.25.
        ((0.5, 0.25), (0, 0, 2.0, 0.03125, 2)),
        # A zero inside an episode cuts the return.
        ((0.0, 1.0), (0, 0, 1.0, 0.0, 2)),
    ],
)
def test_environment_discounts_are_multiplied(discounts, row):
    accumulator = NStepAccumulator(1, 2, 0.5)
    add(accumulator, 0, 0, 1.0, discounts[0], 0, 1)
    assert add(accumulator, 1, 0, 4.0, discounts[1], 0, 2) == [row]


@pytest.mark.parametrize("in_batch", [False, True])
def test_truncated_environments_shorten_the_last_windows(in_batch):
    script = [[(1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (8.0, 1.0), (16.0, 1.0)]]
    spec = make_spec(Scripted(script))
    environment = SyncEnvironment([Scripted(script)], spec)
    if in_batch:
        environment = BatchEnvironment(ScriptedBatch([script]), spec)
    accumulator = NStepAccumulator(1, 3, 0.5)
    observation, found = environment.reset(), []
    for time in range(5):
        action = np.full(1, time, np.int32)
        step = environment.step(action)
        ends = step.reward_t, step.discount_t, step.last_t, step.observation_t
        rows = accumulator.add(ActorStep(observation, action, *ends)).data
        observation = step.observation
        for o_tm1, a_tm1, r_t, discount_t, o_t in zip(*rows, strict=True):
            found.append((*o_tm1, a_tm1, r_t, discount_t, *o_t))
    # An observation is (episode, step). In windows of three: 1 + 2/2 + 4/4 = 3, ...
    assert sorted(found) == [
        (0, 0, 0, 3.0, 0.125, 0, 3),
        (0, 1, 1, 6.0, 0.125, 0, 4),
        (0, 2, 2, 12.0, 0.125, 0, 5),
        # Shorter windows bootstrap from the final observation, with fewer gammas.
        (0, 3, 3, 16.0, 0.25, 0, 5),
        (0, 4, 4, 16.0, 0.5, 0, 5),
    ]


def test_priority_waits_for_q_values_of_last_observation():
    accumulator = NStepAccumulator(1, 1, 0.5, keep)
    assert add(accumulator, 0, 1, 3.0, 1.0, 0, 1, q=[1.0, 2.0]) == []
    # |3 + 0.5 * max(6, 4) - 2| = 4.
    (row,) = add(accumulator, 1, 1, 0.0, 1.0, 0, 2, q=[6.0, 4.0])
    assert row == (0, 1, 3.0, 0.5, 1, 4.0)
    # |0 + 0.5 * 10 - 4| = 1; and without waiting at termination: |2 - 10| = 8.
    rows = add(accumulator, 2, 0, 2.0, 0.0, 1, 3, q=[10.0, 9.0])
    assert [(row[0], row[-1]) for row in rows] == [(1, 1.0), (2, 8.0)]
    # The next episode's first observation completes no window of this one.
    assert add(accumulator, 50, 0, 0.0, 1.0, 0, 51, q=[99.0, 99.0]) == []


def test_priority_at_truncation_uses_the_last_known_value():
    accumulator = NStepAccumulator(1, 2, 0.5, keep)
    assert add(accumulator, 0, 0, 1.0, 1.0, 0, 1, q=[1.0, 0.0]) == []
    assert add(accumulator, 1, 1, 2.0, 1.0, 0, 2, q=[5.0, 3.0]) == []
    # From 0: |1 + 0.5 * 2 + 0.25 * max(4, 8) - 1| = 3. Truncated now: the value of
    # step 2, 8, stands in for the final one. From 1: |2 + 0.5 * 4 + 0.25 * 8 - 3| = 3;
    # from 2: |4 + 0.5 * 8 - 4| = 4.
    rows = add(accumulator, 2, 0, 4.0, 1.0, 1, 3, q=[4.0, 8.0])
    assert [(row[0], row[-1]) for row in rows] == [(0, 3.0), (1, 3.0), (2, 4.0)]


def test_priorities_are_computed_on_squashed_values():
    accumulator = NStepAccumulator(1, 1, 0.5, squash)
    add(accumulator, 0, 0, 1.0, 1.0, 0, 1, q=[-3.0])
    # h(x) = sign(x) (sqrt(|x| + 1) - 1) + 0.001 x: h(1 + 0.5 * 14) = 2 + 0.008 and
    # h(-3) = -1 - 0.003.
    ((*_, priority),) = add(accumulator, 1, 0, 0.0, 1.0, 0, 2, q=[14.0])
    np.testing.assert_allclose(priority, 2.008 + 1.003, rtol=1e-6)


@st.composite
def runs(draw):
    size, length = draw(st.integers(1, 4)), draw(st.integers(0, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    last = rng.random((length, size)) < draw(st.sampled_from([0.0, 0.1, 0.4, 1.0]))
    ended = rng.choice([0.0, 1.0], (length, size))
    discount = np.where(last, ended, rng.choice([1.0, 0.5, 0.0], (length, size)))
    reward = rng.normal(size=(length, size))
    action = rng.integers(0, 3, (length, size))
    return last, discount, reward, action, rng.normal(size=(length, size, 3))


def list_slowly(run, n_step, gamma, prioritized):
    """Yields ((when it arrives, start, environment), row) of each transition."""
    last, discount, reward, action, q = run
    length, size = last.shape
    for e in range(size):
        for start in range(length):
            total, factor, end = 0.0, 1.0, start
            while end < length:
                total += factor * reward[end, e]
                factor *= gamma * discount[end, e]
                if last[end, e] or end == start + n_step - 1:
                    break
                end += 1
            when = end + (prioritized and end < length and not last[end, e])
            if when >= length:
                continue
            o_tm1, o_t = start * size + e, end * size + e + 1000
            row = [o_tm1, action[start, e], total, factor, o_t]
            if prioritized:
                value = max(q[when, e])
                row.append(abs(total + factor * value - q[start, e, action[start, e]]))
            yield (when, start, e), row


@settings(deadline=None, max_examples=120)
@given(runs(), st.integers(1, 6), st.sampled_from([1.0, 0.99, 0.5, 0.0]), st.booleans())
def test_transitions_equal_the_slow_reference(run, n_step, gamma, prioritized):
    last, discount, reward, action, q = run
    length, size = last.shape
    # Each observation is a number that identifies its time and environment.
    number = np.arange(length * size).reshape(length, size)
    accumulator = NStepAccumulator(size, n_step, gamma, keep if prioritized else None)
    got = []
    for t in range(length):
        step = (number[t], action[t], reward[t], discount[t], last[t], number[t] + 1000)
        rows = add(accumulator, *step, q=q[t])
        if prioritized:  # Items that waited come first.
            rows.sort()
        got += rows
    expected = sorted(list_slowly(run, n_step, gamma, prioritized))
    if prioritized:
        expected.sort(key=lambda each: (each[0][0], each[1][0]))
    assert len(got) == len(expected)
    for have, (_, want) in zip(got, expected, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-5)
