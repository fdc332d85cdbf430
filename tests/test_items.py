import numpy as np
import pytest
import tree
from dm_env import specs

from distrl.config import Config, NetworkConfig, ReplayConfig
from distrl.errors import ConfigError
from distrl.items import (
    check_frame_stack,
    fill_priorities,
    make_item_spec,
    make_zeros,
    sort_leaves,
    stack_specs,
)
from distrl.networks.layers import make_initial_carry
from distrl.types import EnvironmentSpec, StepSequence, Transition

SPEC = EnvironmentSpec(
    {
        "pixels": specs.BoundedArray((4, 3), np.uint8, 0, 255),
        "rest": (specs.DiscreteArray(5), specs.Array((2,), np.float32)),
    },
    num_actions=3,
)


def test_transition_has_two_observations_and_scalars():
    item = make_item_spec(Config(), SPEC)
    assert isinstance(item, Transition)
    for observation in (item.observation_tm1, item.observation_t):
        assert observation["pixels"] == specs.Array((4, 3), np.uint8)
        assert observation["rest"][0] == specs.Array((), np.int32)
    assert item.action_tm1 == specs.Array((), np.int32)
    assert item.reward_t == item.discount_t == specs.Array((), np.float32)


@pytest.mark.parametrize("core", ["none", "gru", "lstm"])
def test_sequence_has_extra_observation_and_recurrent_state(core):
    network = NetworkConfig(core=core, core_size=7)
    config = Config(network=network, replay=ReplayConfig(sequence_length=6))
    item = make_item_spec(config, SPEC)
    assert isinstance(item, StepSequence)
    assert item.observation["pixels"] == specs.Array((7, 4, 3), np.uint8)
    assert item.observation["rest"][1] == specs.Array((7, 2), np.float32)
    assert item.action == specs.Array((6,), np.int32)
    assert item.reward == item.discount == item.mask == specs.Array((6,), np.float32)
    # It is the state of one environment at the start of an episode.
    initial = make_initial_carry(network, 1)
    assert type(item.carry) is tuple and len(item.carry) == len(initial)
    for spec, leaf in zip(item.carry, initial, strict=True):
        assert (1, *spec.shape) == leaf.shape and spec.dtype == leaf.dtype


def test_items_are_stacked_and_filled_with_zeros():
    config = Config(
        network=NetworkConfig(core="lstm", core_size=7),
        replay=ReplayConfig(sequence_length=6),
    )
    item = make_item_spec(config, SPEC)
    assert stack_specs(item, 2).mask == specs.Array((2, 6), np.float32)
    zeros = make_zeros(item, 3)
    tree.assert_same_structure(zeros, item)
    assert zeros.observation["pixels"].dtype == np.uint8
    assert zeros.observation["pixels"].shape == (3, 7, 4, 3)
    assert zeros.carry[1].shape == (3, 7)
    assert not any(leaf.any() for leaf in tree.flatten(zeros))


def test_missing_priorities_default_to_1():
    assert fill_priorities(None, 3, epsilon=0.5).tolist() == [1.0, 1.0, 1.0]
    filled = fill_priorities(np.array([0.0, 2.0], np.float32), 2, epsilon=0.5)
    assert filled.tolist() == [0.5, 2.5]


def test_leaves_of_items_are_observations_or_32_bit_words_or_masks():
    mask = specs.Array((3,), np.uint8)
    observation = {"observation": SPEC.observation["pixels"], "action_mask": mask}
    spec = EnvironmentSpec(observation, 3)
    network = NetworkConfig(core="lstm", core_size=7)
    sequences = Config(network=network, replay=ReplayConfig(sequence_length=6))
    for config, count in [(Config(), 2), (sequences, 1)]:
        item = make_item_spec(config, spec)
        leaves = tree.flatten(item)
        observed, rest = sort_leaves(item)
        assert sorted([*observed, *rest]) == list(range(len(leaves)))
        assert len(observed) == count
        assert all(leaves[i].shape[-2:] == (4, 3) for i in observed)
        words, masks = rest[:-count], rest[-count:]
        assert all(leaves[i].dtype.itemsize == 4 for i in words)
        assert all(leaves[i].shape[-1:] == (3,) for i in masks)


@pytest.mark.parametrize(
    ("stack", "shape"), [(None, (3,)), (4, (84, 84, 4)), (4, (84, 84, 12)), (3, (6,))]
)
def test_frame_stacks_are_accepted(stack, shape):
    check_frame_stack(stack, EnvironmentSpec(specs.Array(shape, np.float32), 2))


@pytest.mark.parametrize(
    ("stack", "observation", "words"),
    [
        (
            3,
            specs.Array((84, 84, 4), np.uint8),
            ["replay.frame_stack = 3", "last axis", "[84, 84, 4]", "for example 2"],
        ),
        (2, specs.Array((7, 1), np.uint8), ["frame_stack = 2", "[7, 1]", "null"]),
        (2, specs.Array((), np.uint8), ["frame_stack = 2", "[]", "null"]),
        (
            4,
            {"observation": specs.Array((8, 4), np.uint8)},
            ["frame_stack = 4", "is a dict", "network.last_action_reward"],
        ),
    ],
)
def test_observations_without_frame_stack_are_refused(stack, observation, words):
    with pytest.raises(ConfigError) as caught:
        check_frame_stack(stack, EnvironmentSpec(observation, 2))
    assert all(word in str(caught.value) for word in words)
