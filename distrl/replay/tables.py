"""The table of transitions or sequences, and the shape of its items."""

from typing import Any

import reverb
import tensorflow as tf
import tree

from distrl.config.limits import count_per_item, derive_limits
from distrl.config.schema import Config
from distrl.items import make_item_spec, stack_specs
from distrl.types import EnvironmentSpec

TABLE_NAME = "replay"


def make_signature(config: Config, spec: EnvironmentSpec) -> Any:
    """Returns the `tf.TensorSpec` of each part of an item, `[G, ...]`.

    Args:
      config: says what an item is, and gives G, `replay.transitions_per_item`.
      spec: gives the observations.
    """
    items = stack_specs(make_item_spec(config, spec), count_per_item(config))
    return tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), items)


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
