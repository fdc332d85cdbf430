import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_environments import EPISODES, Scripted, ScriptedBatch

from distrl.environments import SyncEnvironment, make_spec
from distrl.environments.batch import BatchEnvironment, OneOfBatch
from distrl.errors import EnvironmentFault

SPEC = make_spec(Scripted([[(0.0, 1.0)]]))
NOOP = np.zeros(2, np.int32)


@settings(deadline=None, max_examples=60)
@given(
    scripts=st.lists(EPISODES, min_size=1, max_size=4),
    steps=st.integers(1, 12),
    limit=st.sampled_from([None, 1, 2, 3]),
)
def test_batch_matches_a_vector_of_the_same_environments(scripts, steps, limit):
    batch = BatchEnvironment(ScriptedBatch(scripts), SPEC)
    vector = SyncEnvironment([Scripted(script) for script in scripts], SPEC)
    assert len(batch) == len(vector)
    np.testing.assert_array_equal(batch.reset(), vector.reset())
    seen = []
    for _ in range(steps):
        action = np.ones(len(scripts), np.int64)
        seen.append((batch.step(action, limit), vector.step(action, limit)))
    for step, expected in seen:
        for value, expected_value in zip(step[:5], expected[:5], strict=True):
            np.testing.assert_array_equal(value, expected_value)
            assert value.dtype == expected_value.dtype
        assert step.episodes == expected.episodes


class Faulty(ScriptedBatch):
    """Replaces fields of its second step by those of `answer`."""

    def __init__(self, **answer):
        super().__init__([[[(0.0, 1.0)] * 5]] * 2)
        self.answer = answer
        self.count = 0

    def step(self, action):
        self.count += 1
        step = super().step(action)
        return step._replace(**self.answer) if self.count == 2 else step


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"observation_t": np.array([[0, 0], [0, np.nan]])}, "environment 1 .*is nan"),
        ({"observation_t": {"a": np.zeros(2)}}, "environment 0 .*got {'a'.*dict"),
        (
            {"reward_t": np.array([0.0, np.inf])},
            "environment 1 returned the reward inf",
        ),
        ({"discount_t": np.array([2.0, 1.0])}, "environment 0 returned the discount 2"),
    ],
)
def test_bad_value_error_names_its_environment(answer, words):
    vector = BatchEnvironment(Faulty(**answer), SPEC)
    vector.reset()
    vector.step(NOOP)
    with pytest.raises(EnvironmentFault, match=words):
        vector.step(NOOP)


def test_suite_exceptions_become_environment_faults():
    class Broken(ScriptedBatch):
        def step(self, action):
            raise RuntimeError("the emulator is gone")

        def reset(self, indices):
            if len(indices) == 1:
                raise RuntimeError("no rom")
            return super().reset(indices)

    vector = BatchEnvironment(Broken([[[(0.0, 1.0)]]] * 2), SPEC)
    vector.reset()
    with pytest.raises(
        EnvironmentFault,
        match=r"one of the environments 0, 1 failed in step\(\[0, 0\]\): Ru",
    ):
        vector.step(NOOP)
    with pytest.raises(
        EnvironmentFault, match=r"environment 0 failed in reset\(\): .*rom"
    ):
        BatchEnvironment(Broken([[[(0.0, 1.0)]]]), SPEC).reset()


def test_one_of_batch_plays_consecutive_episodes():
    environment = OneOfBatch(ScriptedBatch([[[(1.0, 1.0)], [(2.0, 0.0)]]]))
    for reward, discount in [(1.0, 1.0), (2.0, 0.0)]:
        assert environment.reset().first()
        step = environment.step(0)
        assert (step.last(), step.reward, step.discount) == (True, reward, discount)
