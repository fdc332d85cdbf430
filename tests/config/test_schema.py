"""The schema of the configuration and its derived properties."""

import dataclasses

import pytest

from distrl.config import Config, NetworkConfig, ReplayConfig
from distrl.config.field_types import Fixed
from distrl.config.fields import list_fields


def test_configurations_do_not_share_mutable_fields():
    assert Config().environment_args is not Config().environment_args
    assert Config().network.args is not Config().network.args


def test_each_part_declares_whether_resume_may_change_it():
    for field in dataclasses.fields(Config):
        notes = getattr(field.type, "__metadata__", ())
        assert any(isinstance(note, Fixed) for note in notes), field.name


def test_step_fields_name_their_kind_of_step():
    counted = ("env_steps", "episode_steps", "learner_steps", "shuffle_steps")
    steps = [name for name in list_fields() if name.endswith("steps")]
    assert all(name.endswith(counted) for name in steps)


def test_carry_sizes_and_shard_names_are_derived():
    assert NetworkConfig(core="gru", core_size=3).carry_sizes == (3,)
    assert NetworkConfig(core="lstm", core_size=3).carry_sizes == (3, 3)
    assert NetworkConfig().carry_sizes == ()
    assert ReplayConfig(shards=2).shard_names == ("replay/0", "replay/1")


@pytest.mark.parametrize(
    ("replay", "block", "stride"),
    [
        (ReplayConfig(), 32, 1),
        (ReplayConfig(transitions_per_item=8), 8, 1),
        (ReplayConfig(kind="prioritized"), 32, 1),
        (ReplayConfig(kind="prioritized", sampled_on="server"), 1, 1),
        (ReplayConfig(sequence_length=9), 1, 4),
        (ReplayConfig(sequence_length=9, sequence_period=2), 1, 2),
    ],
)
def test_block_size_and_sequence_stride_are_derived(replay, block, stride):
    assert (replay.block_size, replay.sequence_stride) == (block, stride)
