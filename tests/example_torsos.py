"""Custom torsos that tests name as `example_torsos:FACTORY`."""

import haiku as hk
import jax.numpy as jnp


def constant(spec, shape):
    """Returns a parameter as `[B, *shape]`, whatever the observation."""

    def torso(observation, is_training):
        del is_training
        values = hk.get_parameter("values", shape, init=jnp.ones)
        return jnp.broadcast_to(values, (observation.shape[0], *shape))

    return torso


def two_outputs(spec):
    def torso(observation, is_training):
        return {"q": observation, "extra": observation}

    return torso


def batch_norm(spec, decay=0.5, axis_name=None):
    """BatchNorm without params; with `axis_name` it averages across devices."""

    def torso(observation, is_training):
        norm = hk.BatchNorm(False, False, decay, cross_replica_axis=axis_name)
        return norm(observation, is_training)

    return torso
