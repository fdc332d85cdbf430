import jax.numpy as jnp
import numpy as np
import pytest

from distrl.actor.experience import ActorStep, clip_rewards, make_experience
from distrl.config import ActorConfig, Config, ReplayConfig
from distrl.types import Trajectory, Transition


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


def make_config(max_abs_reward=None, initial_priorities=False, **replay):
    actor = ActorConfig(
        environments=2,
        n_step=2,
        discount=0.5,
        max_abs_reward=max_abs_reward,
        initial_priorities=initial_priorities,
    )
    return Config(actor=actor, replay=ReplayConfig(**replay))


@pytest.mark.parametrize(("bound", "reward"), [(None, 7.5), (1.0, 1.5)])
def test_transitions_by_default(bound, reward):
    experience = make_experience(make_config(bound))
    assert len(experience.add(make_step(0, carry_tm1=Refused())).data.action_tm1) == 0
    items = experience.add(make_step(1, carry_tm1=Refused()))
    assert isinstance(items.data, Transition) and items.priorities is None
    # 5 + 5/2 and -0.5 - 0.5/2; clipped 1 + 1/2.
    np.testing.assert_array_equal(items.data.reward_t, [reward, -0.75])


@pytest.mark.parametrize(("bound", "reward"), [(None, 5.0), (1.0, 1.0)])
def test_sequences_where_they_have_a_length(bound, reward):
    experience = make_experience(
        make_config(bound, sequence_length=4, sequence_period=3)
    )
    for number in range(4):
        carry = (jnp.full((2, 6), float(number)),)
        items = experience.add(make_step(number, carry_tm1=carry))
    assert isinstance(items.data, Trajectory) and items.priorities is None
    np.testing.assert_array_equal(items.data.reward, [[reward] * 4, [-0.5] * 4])
    # Single steps, whatever actor.n_step is.
    np.testing.assert_array_equal(items.data.discount, np.full((2, 4), 0.5))
    np.testing.assert_array_equal(items.data.carry[0], np.zeros((2, 6)))
    # The next sequence starts three steps later, at step 3.
    for number in range(4, 7):
        carry = (jnp.full((2, 6), float(number)),)
        items = experience.add(make_step(number, carry_tm1=carry))
    np.testing.assert_array_equal(items.data.carry[0], np.full((2, 6), 3.0))


def test_half_of_a_sequence_is_the_usual_period():
    experience = make_experience(make_config(sequence_length=4))
    starts = [
        items.data.observation[0, 0, 0]
        for items in (experience.add(make_step(number)) for number in range(8))
        if len(items.data.action)
    ]
    assert starts == [0, 2, 4]


@pytest.mark.parametrize(
    ("bound", "priorities"), [(None, [6.5, 5.75]), (1.0, [0.5, 5.75])]
)
def test_initial_priorities_see_the_clipped_rewards(bound, priorities):
    experience = make_experience(make_config(bound, initial_priorities=True))
    q = jnp.array([[1.0, 2.0, 0.0], [1.0, 5.0, 0.0]])
    experience.add(make_step(0, q_tm1=q))
    # 7.5 - 1 and |-0.75 - 5| with a bootstrap of zero; clipped 1.5 - 1.
    assert len(experience.add(make_step(1, q_tm1=q)).priorities) == 0
    items = experience.add(make_step(2, q_tm1=jnp.zeros((2, 3))))
    assert isinstance(items.data, Transition)
    np.testing.assert_array_equal(items.priorities, priorities)


def test_clipping_is_symmetric_and_zero_is_a_bound():
    reward_t = np.array([-3.0, -0.5, 0.0, 0.5, 3.0], np.float32)
    np.testing.assert_array_equal(
        clip_rewards(reward_t, 1.0), [-1.0, -0.5, 0.0, 0.5, 1.0]
    )
    np.testing.assert_array_equal(clip_rewards(reward_t, 0.0), np.zeros(5))
    assert clip_rewards(reward_t, None) is reward_t
