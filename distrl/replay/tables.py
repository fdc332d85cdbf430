"""The table of transitions, and the shape of its items."""

import reverb
import tensorflow as tf
import tree
from dm_env import specs

from distrl.config.limits import derive_limits
from distrl.config.schema import Config
from distrl.types import EnvironmentSpec, Transition

TABLE_NAME = "replay"


def make_signature(config: Config, spec: EnvironmentSpec) -> Transition:
    """Returns the `tf.TensorSpec` of each part of an item, `[G, ...]`.

    Args:
      config: gives G, `replay.transitions_per_item`.
      spec: gives the observations.
    """
    block = config.replay.transitions_per_item

    def describe(array: specs.Array) -> tf.TensorSpec:
        return tf.TensorSpec((block, *array.shape), array.dtype)

    observation = tree.map_structure(describe, spec.observation)
    return Transition(
        observation_tm1=observation,
        action_tm1=tf.TensorSpec((block,), tf.int32),
        reward_t=tf.TensorSpec((block,), tf.float32),
        discount_t=tf.TensorSpec((block,), tf.float32),
        observation_t=observation,
    )


def make_table(config: Config, spec: EnvironmentSpec) -> reverb.Table:
    """Returns the empty table, with the sizes of `derive_limits(config)`.

    `uniform` draws all items alike, `prioritized` in proportion to
    priority^priority_exponent (arXiv 1511.05952); the oldest items leave first.
    """
    limits = derive_limits(config)
    if config.replay.kind == "prioritized":
        sampler = reverb.selectors.Prioritized(config.replay.priority_exponent)
    else:
        sampler = reverb.selectors.Uniform()
    # Nothing can be drawn from an empty table: Reverb wants at least one item.
    min_size = max(1, limits.min_size)
    if limits.samples_per_insert is None:
        rate_limiter = reverb.rate_limiters.MinSize(min_size)
    else:
        rate_limiter = reverb.rate_limiters.SampleToInsertRatio(
            samples_per_insert=limits.samples_per_insert,
            min_size_to_sample=min_size,
            error_buffer=limits.error_buffer,
        )
    return reverb.Table(
        name=TABLE_NAME,
        sampler=sampler,
        remover=reverb.selectors.Fifo(),
        max_size=limits.capacity,
        rate_limiter=rate_limiter,
        signature=make_signature(config, spec),
    )
