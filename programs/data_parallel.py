"""Data-parallel updates of a network with state: ResNet-18 over four devices.

XLA divides this host's CPU into four devices; the code is the same on accelerators.
Each takes its slice of a superbatch and makes several SGD steps in one dispatch;
gradients and BatchNorm's averages are averaged over devices at each step, so all
replicas stay identical. The images are synthetic: a noisy template for each class.

    python programs/data_parallel.py
"""

import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

from typing import Any, NamedTuple

import haiku as hk
import jax
import numpy as np
import optax

from distrl.learner.devices import (
    first_replica,
    map_over_devices,
    replicate,
    split_superbatch,
)
from distrl.learner.update import average_network_state
from distrl.networks.value_network import DEVICE_AXIS

CLASSES, SIZE, BATCH, STEPS_PER_DISPATCH, DISPATCHES = 4, 16, 32, 2, 8


class State(NamedTuple):
    """The state of which each device holds a replica."""

    params: Any
    network_state: Any
    optimizer_state: Any


@hk.transform_with_state
def network(images, is_training):
    """Returns logits `[B, CLASSES]`."""
    return hk.nets.ResNet18(CLASSES)(images, is_training)


optimizer = optax.adam(3e-4)


def loss(params, network_state, images, labels):
    """Returns the mean cross entropy and the network's new state."""
    logits, network_state = network.apply(params, network_state, None, images, True)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), network_state


def sgd_step(state, batch):
    """Makes one step on a device's slice `[b, ...]`, together with the others."""
    (value, network_state), gradients = jax.value_and_grad(loss, has_aux=True)(
        state.params, state.network_state, *batch
    )
    value, gradients = jax.lax.pmean((value, gradients), DEVICE_AXIS)
    updates, optimizer_state = optimizer.update(gradients, state.optimizer_state)
    params = optax.apply_updates(state.params, updates)
    network_state = average_network_state(network_state, state.network_state)
    return State(params, network_state, optimizer_state), value


def update(state, superbatch):
    """Makes one step for each leading entry of `[K, b, ...]`; returns losses `[K]`."""
    return jax.lax.scan(sgd_step, state, superbatch)


def sample(rng, templates):
    """Returns a superbatch `[K*B, ...]` of images and labels."""
    labels = rng.integers(CLASSES, size=STEPS_PER_DISPATCH * BATCH)
    noise = rng.normal(size=(len(labels), SIZE, SIZE, 3))
    return (templates[labels] + noise).astype(np.float32), labels.astype(np.int32)


def main() -> bool:
    """Trains for a few dispatches; returns whether replicas agree and loss falls."""
    devices = jax.devices()
    rng = np.random.default_rng(0)
    templates = rng.normal(size=(CLASSES, SIZE, SIZE, 3))

    images = np.zeros((1, SIZE, SIZE, 3), np.float32)
    init = jax.jit(lambda key: network.init(key, images, True))
    params, network_state = init(jax.random.PRNGKey(0))
    state = replicate(State(params, network_state, optimizer.init(params)), devices)
    parallel_update = map_over_devices(update, devices)

    dispatch_losses = []
    for dispatch in range(DISPATCHES):
        superbatch = sample(rng, templates)
        split = split_superbatch(superbatch, len(devices), STEPS_PER_DISPATCH)
        state, losses = parallel_update(state, split)
        dispatch_losses.append(float(first_replica(losses).mean()))
        print(f"dispatch {dispatch}: loss {dispatch_losses[-1]:.3f}", flush=True)

    replicas = jax.tree.leaves(jax.device_get(state))
    identical = all((leaf == leaf[:1]).all() for leaf in replicas)
    falls = dispatch_losses[-1] < 0.5 * dispatch_losses[0]
    print(f"{len(devices)} devices: replicas identical: {identical}")
    print(f"loss {dispatch_losses[0]:.3f} -> {dispatch_losses[-1]:.3f}: falls: {falls}")
    return identical and falls


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
