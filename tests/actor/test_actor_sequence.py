import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl.actor.sequence import SequenceAccumulator
from distrl.types import ActorStep, StepSequence

GAMMA = 0.5


def add(accumulator, step, last_t=0, d_t=1.0, final=None):
    """Adds a step of one environment, with values derived from its number."""
    step = ActorStep(
        observation_tm1=np.array([step], np.float32),
        action_tm1=np.array([10 + step], np.int32),
        reward_t=np.array([100.0 + step], np.float32),
        discount_t=np.array([d_t], np.float32),
        last_t=np.array([last_t], bool),
        observation_t=np.array([step + 1 if final is None else final], np.float32),
        carry_tm1=(jnp.array([[1000.0 + step]]),),
    )
    return accumulator.add(step).data


def check_one(batch, observation, action, reward, discount, mask, carry):
    got = [batch.observation, batch.action, batch.reward, batch.discount, batch.mask]
    for have, want in zip(
        got, [observation, action, reward, discount, mask], strict=True
    ):
        np.testing.assert_array_equal(have, [want])
    np.testing.assert_array_equal(batch.carry[0], [[carry]])


def test_sequences_overlap_and_terminated_episode_is_padded():
    accumulator = SequenceAccumulator(1, length=4, period=2, discount=GAMMA)
    for step in range(3):
        assert len(add(accumulator, step).action) == 0
    check_one(
        add(accumulator, 3),
        observation=[0, 1, 2, 3, 4],
        action=[10, 11, 12, 13],
        reward=[100, 101, 102, 103],
        discount=[0.5] * 4,
        mask=[1] * 4,
        carry=1000,
    )
    # Terminated after step 4: of the starts 2 and 4 only 2 is kept. Its sequence adds
    # step 4, and the one from 4 would add none.
    check_one(
        add(accumulator, 4, last_t=1, d_t=0.0, final=99),
        observation=[2, 3, 4, 99, 0],
        action=[12, 13, 14, 0],
        reward=[102, 103, 104, 0],
        discount=[0.5, 0.5, 0.0, 0.0],
        mask=[1, 1, 1, 0],
        carry=1002,
    )
    # The next episode has its own starts, 20 and 22.
    for step in range(20, 23):
        assert len(add(accumulator, step).action) == 0
    assert add(accumulator, 23).carry[0] == 1020


def test_truncated_episode_keeps_discount_and_final_observation():
    accumulator = SequenceAccumulator(1, length=3, period=3, discount=GAMMA)
    check_one(
        add(accumulator, 7, last_t=1, d_t=1.0, final=99),
        observation=[7, 99, 0, 0],
        action=[17, 0, 0],
        reward=[107, 0, 0],
        discount=[0.5, 0, 0],
        mask=[1, 0, 0],
        carry=1007,
    )


def test_nests_keep_structure_and_dtype():
    accumulator = SequenceAccumulator(2, length=2, period=1, discount=0.9)
    observation = {"pixels": np.full((2, 4, 4), 7, np.uint8), "rest": (np.ones(2),)}
    carry = (jnp.ones((2, 3)), jnp.zeros((2, 3)))

    def add_ones(last_t):
        step = ActorStep(
            observation,
            np.ones(2, np.int64),
            np.ones(2, np.float64),
            np.ones(2, np.float64),
            np.full(2, last_t),
            observation,
            carry_tm1=carry,
        )
        return accumulator.add(step).data

    empty = add_ones(False)
    assert empty.observation["pixels"].shape == (0, 3, 4, 4)
    assert empty.carry[1].shape == (0, 3)
    batch = add_ones(True)
    assert batch.observation["pixels"].dtype == np.uint8
    assert batch.observation["rest"][0].shape == (2, 3)
    assert batch.action.dtype == np.int32
    assert batch.reward.dtype == batch.discount.dtype == batch.mask.dtype == np.float32
    assert isinstance(batch.carry, tuple) and batch.carry[0].dtype == np.float32


class Device:
    """A carry that counts its copies to the host."""

    shape, dtype = (2, 1), np.dtype(np.float32)

    def __init__(self):
        self.copies = 0

    def __array__(self, dtype=None):
        self.copies += 1
        return np.zeros(self.shape, self.dtype)


def test_carry_is_copied_only_where_a_sequence_starts():
    accumulator = SequenceAccumulator(2, length=6, period=3, discount=0.9)
    copies = []
    for step in range(8):
        carry, zeros = Device(), np.zeros(2, np.float32)
        # The second environment begins a new episode after step 3.
        last_t = np.array([False, step == 3])
        step = ActorStep(zeros, zeros, zeros, zeros, last_t, zeros, carry_tm1=(carry,))
        accumulator.add(step)
        copies.append(carry.copies)
    # The first environment has starts at 0, 3, 6; the second at 0, 3, then 4, 7.
    assert copies == [1, 0, 0, 1, 1, 0, 1, 1]


def cut_slowly(steps, length, period, gamma):
    """Returns the sequences of one environment, episode by episode."""
    out, begin = [], 0
    ends = [t for t, step in enumerate(steps) if step["last"]]
    for end in [*ends, None]:
        episode = steps[begin : len(steps) if end is None else end + 1]
        covered = set()
        for start in range(0, len(episode), period):
            part = episode[start : start + length]
            if len(part) < length and end is None:
                continue  # The episode has not ended yet.
            numbers = set(range(start, start + len(part)))
            if len(part) < length and numbers <= covered:
                continue
            covered |= numbers
            pad = [0.0] * (length - len(part))
            out.append(
                {
                    "now": begin + start + len(part) - 1,
                    "observation": [s["before"] for s in part]
                    + [part[-1]["after"]]
                    + pad,
                    "action": [s["action"] for s in part] + pad,
                    "reward": [s["reward"] for s in part] + pad,
                    "discount": [gamma * s["discount"] for s in part] + pad,
                    "mask": [1.0] * len(part) + pad,
                    "carry": [part[0]["carry"]],
                }
            )
        begin += len(episode)
    return out


@st.composite
def runs(draw):
    size, count = draw(st.integers(1, 4)), draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    end_probability = draw(st.sampled_from([0.0, 0.03, 0.1, 0.4, 1.0]))
    last = rng.random((count, size)) < end_probability
    discount = np.where(last, rng.choice([0.0, 1.0], (count, size)), 1.0)
    return last, discount, rng.normal(size=(count, size)).astype(np.float32)


@settings(deadline=None, max_examples=150)
@given(runs(), st.integers(1, 9), st.integers(1, 11), st.sampled_from([1.0, 0.5]))
def test_sequences_equal_the_slow_reference(run, length, period, gamma):
    last, discount, reward = run
    count, size = last.shape
    number = np.arange(count * size, dtype=np.float32).reshape(count, size) + 1
    accumulator = SequenceAccumulator(size, length, period, gamma)
    got = [[] for _ in range(size)]
    for t in range(count):
        step = ActorStep(
            number[t][:, None],
            number[t].astype(np.int32),
            reward[t],
            discount[t],
            last[t],
            number[t][:, None] + 10_000,
            carry_tm1=(number[t][:, None] + 20_000,),
        )
        batch = accumulator.add(step).data
        assert isinstance(batch, StepSequence)
        # The number of its first step tells the environment of a sequence.
        owners = (batch.carry[0][:, 0].astype(int) - 20_001) % size
        assert (np.diff(owners) > 0).all()
        for row, owner in enumerate(owners):
            one = {
                name: getattr(batch, name)[row].ravel()
                for name in ("observation", "action", "reward", "discount", "mask")
            }
            got[owner].append({"now": t, **one, "carry": batch.carry[0][row]})
    for e in range(size):
        steps = [
            {
                "before": number[t, e],
                "action": number[t, e],
                "reward": reward[t, e],
                "discount": discount[t, e],
                "last": last[t, e],
                "after": number[t, e] + 10_000,
                "carry": number[t, e] + 20_000,
            }
            for t in range(count)
        ]
        expected = cut_slowly(steps, length, period, gamma)
        assert len(got[e]) == len(expected)
        for have, want in zip(got[e], expected, strict=True):
            for name, value in want.items():
                np.testing.assert_array_equal(have[name], value, name)
