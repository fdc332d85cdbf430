import jax.numpy as jnp
import numpy as np

from distrl.actor.accumulator import make_accumulator
from distrl.config import ActorConfig, Config, ReplayConfig
from distrl.types import ActorStep, StepSequence, Transition


class Refused:
    """Q values or a carry that nobody is to copy from the device."""

    shape, dtype = (2, 3), np.dtype(np.float32)

    def __array__(self, dtype=None):
        raise AssertionError("it was copied")


def make_step(number, last_t=False, q_tm1=None, carry_tm1=()):
    return ActorStep(
        observation_tm1=np.full((2, 1), number, np.float32),
        action_tm1=np.array([0, 1], np.int32),
        reward_t=np.array([5.0, -0.5], np.float32),
        discount_t=np.ones(2, np.float32),
        last_t=np.full(2, last_t),
        observation_t=np.full((2, 1), number + 1, np.float32),
        q_tm1=Refused() if q_tm1 is None else q_tm1,
        carry_tm1=carry_tm1,
    )


def make_config(initial_priorities=False, **replay):
    actor = ActorConfig(
        environments=2, n_step=2, discount=0.5, initial_priorities=initial_priorities
    )
    return Config(actor=actor, replay=ReplayConfig(**replay))


def test_transitions_by_default():
    accumulator = make_accumulator(make_config())
    assert len(accumulator.add(make_step(0, carry_tm1=Refused())).data.action_tm1) == 0
    items = accumulator.add(make_step(1, carry_tm1=Refused()))
    assert isinstance(items.data, Transition) and items.priorities is None
    # 5 + 5/2 and -0.5 - 0.5/2.
    np.testing.assert_array_equal(items.data.reward_t, [7.5, -0.75])


def test_sequences_where_they_have_a_length():
    accumulator = make_accumulator(make_config(sequence_length=4, sequence_period=3))
    for number in range(4):
        carry = (jnp.full((2, 6), float(number)),)
        items = accumulator.add(make_step(number, carry_tm1=carry))
    assert isinstance(items.data, StepSequence) and items.priorities is None
    np.testing.assert_array_equal(items.data.reward, [[5.0] * 4, [-0.5] * 4])
    # Single steps, whatever actor.n_step is.
    np.testing.assert_array_equal(items.data.discount, np.full((2, 4), 0.5))
    np.testing.assert_array_equal(items.data.carry[0], np.zeros((2, 6)))
    # The next sequence starts three steps later, at step 3.
    for number in range(4, 7):
        carry = (jnp.full((2, 6), float(number)),)
        items = accumulator.add(make_step(number, carry_tm1=carry))
    np.testing.assert_array_equal(items.data.carry[0], np.full((2, 6), 3.0))


def test_half_of_a_sequence_is_the_usual_period():
    accumulator = make_accumulator(make_config(sequence_length=4))
    starts = [
        items.data.observation[0, 0, 0]
        for items in (accumulator.add(make_step(number)) for number in range(8))
        if len(items.data.action)
    ]
    assert starts == [0, 2, 4]


def test_initial_priorities_where_they_are_configured():
    accumulator = make_accumulator(make_config(initial_priorities=True))
    q = jnp.array([[1.0, 2.0, 0.0], [1.0, 5.0, 0.0]])
    accumulator.add(make_step(0, q_tm1=q))
    assert len(accumulator.add(make_step(1, q_tm1=q)).priorities) == 0
    items = accumulator.add(make_step(2, q_tm1=jnp.zeros((2, 3))))
    assert isinstance(items.data, Transition)
    # 7.5 - 1 and |-0.75 - 5| with a bootstrap of zero.
    np.testing.assert_array_equal(items.priorities, [6.5, 5.75])
