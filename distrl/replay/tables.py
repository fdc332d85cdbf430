"""The table of transitions or sequences that each shard holds."""

import reverb

from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.replay.forms import TABLE_NAME, WholeForm
from distrl.replay.frames import FrameForm
from distrl.types import EnvironmentSpec


def make_form(config: Config, spec: EnvironmentSpec) -> WholeForm | FrameForm:
    """Returns the form in which items are stored: whole, or as frames."""
    if config.replay.frame_stack is None:
        return WholeForm(config, spec)
    return FrameForm(config, spec)


def make_table(config: Config, spec: EnvironmentSpec) -> reverb.Table:
    """Returns a shard's empty table, with the sizes of `replay_sizes(config)`.

    `uniform` draws all items with equal probability, `prioritized` in proportion to
    priority^priority_exponent (arXiv 1511.05952); the oldest items are removed first.
    """
    sizes = replay_sizes(config)
    if config.replay.kind == "prioritized":
        sampler = reverb.selectors.Prioritized(config.replay.priority_exponent)
    else:
        sampler = reverb.selectors.Uniform()
    # Reverb requires at least one item before it samples.
    min_size = max(1, sizes.min_size)
    if sizes.samples_per_insert is None:
        rate_limiter = reverb.rate_limiters.MinSize(min_size)
    else:
        rate_limiter = reverb.rate_limiters.SampleToInsertRatio(
            samples_per_insert=sizes.samples_per_insert,
            min_size_to_sample=min_size,
            error_buffer=sizes.error_buffer,
        )
    return reverb.Table(
        name=TABLE_NAME,
        sampler=sampler,
        remover=reverb.selectors.Fifo(),
        max_size=sizes.capacity,
        rate_limiter=rate_limiter,
        signature=make_form(config, spec).signature,
    )
