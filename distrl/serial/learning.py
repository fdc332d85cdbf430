"""Learning from replay on the device: draw, update, and set priorities anew."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distrl.agents.agent import Agent
from distrl.config import Config
from distrl.items import make_item_spec
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import TrainState, first_replica, init_state, replicate
from distrl.learner.update import UpdateOutput, make_update
from distrl.seeding import derive_seed
from distrl.serial.buffer import Buffer, BufferState
from distrl.serial.state import Counts, SerialState
from distrl.types import EnvironmentSpec


class Learning(NamedTuple):
    """What `make_learning` returns.

    Attributes:
      compile: `(state)`; compiles the update, and changes nothing.
      learn: `(state) -> (state, UpdateOutput)`; the given state's buffers are donated.
    """

    compile: Callable[[SerialState], None]
    learn: Callable[[SerialState], tuple[SerialState, UpdateOutput]]


def init_serial_state(
    config: Config,
    spec: EnvironmentSpec,
    agent: Agent,
    buffer: Buffer,
    devices: Sequence[jax.Device],
) -> SerialState:
    """Returns the state at the start: the learner's, and an empty buffer."""
    key = jax.random.PRNGKey(derive_seed(config.seed, "learner"))
    train = init_state(agent, make_optimizer(config.learner), key)
    item = make_item_spec(config, spec)
    return SerialState(
        train=replicate(train, devices),
        buffer=jax.jit(lambda: buffer.init(item))(),
        key=jax.random.PRNGKey(derive_seed(config.seed, "serial replay")),
        counts=Counts(),
    )


def make_learning(
    config: Config, agent: Agent, buffer: Buffer, devices: Sequence[jax.Device]
) -> Learning:
    """Returns how a dispatch is compiled and made.

    It is `learner.steps_per_dispatch` SGD steps on one superbatch.

    Draws and priorities are calls of their own beside the learner's update: fused with
    it they were no faster.
    """
    steps, batch_size = config.learner.steps_per_dispatch, config.learner.batch_size
    size, share = steps * batch_size, batch_size // len(devices)
    spread = _make_spread(devices)
    update = make_update(agent, make_optimizer(config.learner), config, devices)
    is_prioritized = config.replay.kind == "prioritized"

    @jax.jit
    def draw(state: BufferState, key: jax.Array, number: int) -> Any:
        drawn = buffer.draw(state, jax.random.fold_in(key, number), size)
        return drawn.slots, split((drawn.items, drawn.probabilities))

    def split(nest: Any) -> list[Any]:
        """Cuts `[K * B, ...]` into a `[1, K, B / D, ...]` for each device.

        Step k takes the items k * B to (k + 1) * B, as in `split_superbatch`.
        """

        def cut(x: jax.Array, device: int) -> jax.Array:
            return x.reshape(steps, len(devices), share, *x.shape[1:])[None, :, device]

        return [
            jax.tree.map(functools.partial(cut, device=index), nest)
            for index in range(len(devices))
        ]

    @jax.jit
    def join(priorities: jax.Array) -> jax.Array:
        joined = jnp.swapaxes(priorities, 0, 1).reshape(size)
        return joined + config.replay.priority_epsilon

    set_priorities = jax.jit(buffer.set_priorities, donate_argnums=0)

    def compile(state: SerialState) -> None:
        _, slices = jax.eval_shape(draw, state.buffer, state.key, 0)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), slices)
        spare = replicate(first_replica(state.train), devices)
        jax.block_until_ready(update(spare, *jax.tree.map(spread, *zeros)))

    def learn(state: SerialState) -> tuple[SerialState, UpdateOutput]:
        counts = state.counts
        slots, slices = draw(state.buffer, state.key, counts.dispatches)
        superbatch = jax.tree.map(spread, *slices)
        train, output = update(state.train, *superbatch)
        held = state.buffer
        if is_prioritized:
            priorities = jax.device_put(join(output.priorities), devices[0])
            held = set_priorities(held, slots, priorities)
        counts = counts._replace(
            sampled=counts.sampled + size,
            dispatches=counts.dispatches + 1,
            learner_steps=counts.learner_steps + steps,
        )
        return state._replace(train=train, buffer=held, counts=counts), output

    return Learning(compile, learn)


def _make_spread(devices: Sequence[jax.Device]) -> Callable[..., jax.Array]:
    """Returns how D arrays `[1, ...]` become the `[D, ...]` that a pmap takes.

    A pmap would cut an array of one device itself, in a call for each, and take longer
    than a small update does.
    """

    @functools.cache
    def find_sharding(shape: tuple[int, ...]) -> jax.sharding.Sharding:
        return jax.sharding.PmapSharding.default(
            shape, sharded_dim=0, devices=list(devices)
        )

    def spread(*slices: jax.Array) -> jax.Array:
        shape = (len(devices), *slices[0].shape[1:])
        if len(devices) > 1:
            slices = tuple(map(jax.device_put, slices, devices))
        return jax.make_array_from_single_device_arrays(
            shape, find_sharding(shape), list(slices)
        )

    return spread


def read_variables(train: TrainState) -> tuple[Any, Any]:
    """Returns the parameters and the network's state of one replica, on its device."""
    shards = jax.tree.map(
        lambda x: x.addressable_data(0), (train.params, train.network_state)
    )
    return _drop_axis(shards)


@jax.jit
def _drop_axis(nest: Any) -> Any:
    return jax.tree.map(lambda x: x[0], nest)
