import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl.actor.initial_priorities import PrioritizedAccumulator
from distrl.actor.n_step import NStepAccumulator
from distrl.config import ActorConfig, Config, LossConfig
from distrl.types import ActorStep


def make_config(environments=1, n_step=1, discount=0.5, transform="none"):
    actor = ActorConfig(environments=environments, n_step=n_step, discount=discount)
    return Config(actor=actor, loss=LossConfig(value_transform=transform))


def add(accumulator, step, q, action=0, r_t=0.0, d_t=1.0, last_t=False):
    """Adds a step of one environment; observations are numbers of steps."""
    batch, priorities = accumulator.add(
        ActorStep(
            np.array([step], np.float32),
            np.array([action], np.int32),
            np.array([r_t], np.float32),
            np.array([d_t], np.float32),
            np.array([last_t]),
            np.array([step + 1], np.float32),
            np.array([q], np.float32),
        )
    )
    assert priorities.dtype == np.float32
    rows = zip(batch.observation_tm1, batch.observation_t, priorities, strict=True)
    return list(rows)


def test_a_transition_comes_when_its_last_observation_is_acted_on():
    accumulator = PrioritizedAccumulator(make_config())
    assert add(accumulator, 0, q=[1.0, 2.0], action=1, r_t=3.0) == []
    # |3 + 0.5 * max(6, 4) - 2| = 4.
    assert add(accumulator, 1, q=[6.0, 4.0], action=1, r_t=0.0) == [(0, 1, 4.0)]
    # |0 + 0.5 * 10 - 4| = 1; and at the end at once: |2 - 10| = 8.
    assert add(accumulator, 2, [10.0, 9.0], r_t=2.0, d_t=0.0, last_t=True) == [
        (1, 2, 1.0),
        (2, 3, 8.0),
    ]
    # The next episode's first observation ends no window of the last one.
    assert add(accumulator, 50, q=[99.0, 99.0]) == []


def test_windows_of_two_steps_and_truncation():
    accumulator = PrioritizedAccumulator(make_config(n_step=2))
    assert add(accumulator, 0, q=[1.0, 0.0], r_t=1.0) == []
    assert add(accumulator, 1, q=[5.0, 3.0], action=1, r_t=2.0) == []
    # From 0: |1 + 0.5 * 2 + 0.25 * max(4, 8) - 1| = 3. Truncated now: the value of
    # step 2, 8, stands in for the final one. From 1: |2 + 0.5 * 4 + 0.25 * 8 - 3| = 3;
    # from 2: |4 + 0.5 * 8 - 4| = 4.
    assert add(accumulator, 2, q=[4.0, 8.0], r_t=4.0, last_t=True) == [
        (0, 2, 3.0),
        (1, 3, 3.0),
        (2, 3, 4.0),
    ]


def test_errors_are_taken_on_the_scale_that_is_learned():
    accumulator = PrioritizedAccumulator(make_config(transform="signed_hyperbolic"))
    add(accumulator, 0, q=[-3.0], r_t=1.0)
    # h(x) = sign(x) (sqrt(|x| + 1) - 1) + 0.001 x: h(1 + 0.5 * 14) = 2 + 0.008 and
    # h(-3) = -1 - 0.003.
    ((_, _, priority),) = add(accumulator, 1, q=[14.0])
    np.testing.assert_allclose(priority, 2.008 + 1.003, rtol=1e-6)


def test_what_waits_is_a_copy():
    accumulator = PrioritizedAccumulator(make_config())
    arrays = [np.zeros(1, np.float32) for _ in range(5)]
    observation_tm1, reward_t, discount_t, observation_t, _ = arrays
    last_t, q = np.zeros(1, bool), np.zeros((1, 2), np.float32)

    def add_all():
        action = np.zeros(1, np.int32)
        before, after = observation_tm1, observation_t
        step = ActorStep(before, action, reward_t, discount_t, last_t, after, q)
        return accumulator.add(step)

    add_all()
    for array in (*arrays, q):
        array[:] = 7.0
    batch, priorities = add_all()
    assert batch.reward_t == batch.observation_tm1 == batch.observation_t == 0.0
    assert priorities == 0.0


@st.composite
def runs(draw):
    size, count = draw(st.integers(1, 3)), draw(st.integers(0, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    last = rng.random((count, size)) < draw(st.sampled_from([0.0, 0.1, 0.4, 1.0]))
    discount = np.where(last, rng.choice([0.0, 1.0], (count, size)), 1.0)
    return (
        last,
        discount.astype(np.float32),
        rng.normal(size=(count, size)).astype(np.float32),
        rng.integers(0, 3, (count, size)).astype(np.int32),
        rng.normal(size=(count, size, 3)).astype(np.float32),
    )


def priorities_slowly(run, e, n_step, gamma):
    """{start: (when it comes, priority)} of one environment."""
    last, discount, reward, action, q = run
    count, out = len(last), {}
    for start in range(count):
        total, factor, end = 0.0, 1.0, start
        while end < count:
            total += factor * reward[end, e]
            factor *= gamma * discount[end, e]
            if last[end, e] or end == start + n_step - 1:
                break
            end += 1
        if end == count:
            continue
        when = end if last[end, e] else end + 1
        if when < count:
            target = total + factor * max(q[when, e])
            out[start] = when, abs(target - q[start, e, action[start, e]])
    return out


@settings(deadline=None, max_examples=80)
@given(runs(), st.integers(1, 4), st.sampled_from([1.0, 0.5, 0.0]))
def test_equals_the_slow_reference(run, n_step, gamma):
    last, discount, reward, action, q = run
    count, size = last.shape
    config = make_config(size, n_step, gamma)
    accumulator = PrioritizedAccumulator(config)
    plain = NStepAccumulator(size, n_step, gamma)
    number = np.arange(count * size).reshape(count, size)
    got, items, waited_for = {}, {}, {}
    for t in range(count):
        step = (number[t], action[t], reward[t], discount[t], last[t], number[t] + 1000)
        for row in zip(*plain.add(ActorStep(*step)).data, strict=True):
            waited_for[int(row[0])] = row
        batch, priorities = accumulator.add(ActorStep(*step, q[t]))
        assert priorities.shape == batch.reward_t.shape
        for priority, row in zip(priorities, zip(*batch, strict=True), strict=True):
            assert int(row[0]) not in got
            got[int(row[0])] = t, priority
            items[int(row[0])] = row
    expected = {
        start * size + e: value
        for e in range(size)
        for start, value in priorities_slowly(run, e, n_step, gamma).items()
    }
    assert got.keys() == expected.keys()
    for start, (when, priority) in expected.items():
        assert got[start][0] == when
        np.testing.assert_allclose(got[start][1], priority, rtol=1e-4, atol=1e-5)
        # The transitions themselves are those of the plain accumulator.
        np.testing.assert_array_equal(items[start], waited_for[start])


@pytest.mark.parametrize("n_step", [1, 2])
def test_nests_are_taken_apart_again(n_step):
    accumulator = PrioritizedAccumulator(make_config(environments=2, n_step=n_step))
    observation = {"pixels": np.zeros((2, 4), np.uint8), "rest": (np.ones(2),)}
    ones = np.ones(2, np.float32)
    action, last_t = np.zeros(2, np.int32), np.ones(2, bool)
    q = np.ones((2, 3), np.float32)
    batch, priorities = accumulator.add(
        ActorStep(observation, action, ones, ones, last_t, observation, q)
    )
    for nest in (batch.observation_tm1, batch.observation_t):
        assert nest.keys() == observation.keys()
        assert nest["pixels"].shape == (2, 4) and nest["pixels"].dtype == np.uint8
        assert nest["rest"][0].shape == (2,)
    assert priorities.shape == (2,)
