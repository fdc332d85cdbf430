"""Custom networks, named in tests as `example_networks:FACTORY`."""

import haiku as hk
import jax
import jax.numpy as jnp

NOT_A_FACTORY = 3


def tabular(spec, states):
    """A table of Q values; the observation is the number of the state."""

    def network(observation, is_training):
        del is_training
        q = hk.get_parameter("q", [states, spec.num_actions], init=jnp.zeros)
        return q[observation]

    return network


def batch_norm(spec, decay=0.9):
    """BatchNorm, then a linear layer."""

    def network(observation, is_training):
        norm = hk.BatchNorm(create_scale=False, create_offset=False, decay_rate=decay)
        return hk.Linear(spec.num_actions)(norm(observation, is_training))

    return network


def any_keywords(spec, **kwargs):
    return tabular(spec, **kwargs)


def noisy(spec):
    """A linear layer whose output gets noise in training."""

    def network(observation, is_training):
        q = hk.Linear(spec.num_actions)(observation)
        noise = jax.random.normal(hk.next_rng_key(), q.shape)
        return q + noise if is_training else q

    return network


def returns_nothing(spec):
    del spec


def raises(spec, size):
    raise OSError("no weights")


def wrong_width(spec):
    return lambda observation, is_training: hk.Linear(spec.num_actions + 2)(observation)


def wrong_dtype(spec):
    def network(observation, is_training):
        return hk.Linear(spec.num_actions)(observation).astype(jnp.bfloat16)

    return network


def wrong_in_evaluation(spec):
    def network(observation, is_training):
        q = hk.Linear(spec.num_actions)(observation)
        return q if is_training else q[0]

    return network


def two_outputs(spec):
    def network(observation, is_training):
        q = hk.Linear(spec.num_actions)(observation)
        return {"q": q, "value": q[:, 0]}

    return network


def linear(spec):
    """Fails on integer observations: it does not make them floats."""
    return lambda observation, is_training: hk.Linear(spec.num_actions)(observation)


def huge(spec):
    """Ten terabytes of params, if they were computed."""

    def network(observation, is_training):
        return hk.nets.MLP([1_600_000, 1_600_000, spec.num_actions])(observation)

    return network


def takes_one_argument(spec):
    return lambda observation: observation


def constant(spec):
    """The same Q values whatever the observation: the parameter `q` `[A]`."""

    def network(observation, is_training):
        del is_training
        q = hk.get_parameter("q", [spec.num_actions], init=jnp.zeros)
        return jnp.broadcast_to(q, (observation.shape[0], spec.num_actions))

    return network


def tabular_outputs(spec, states, outputs):
    """A table of `outputs` values an action; the observation is the state's number."""

    def network(observation, is_training):
        del is_training
        shape = [states, spec.num_actions, outputs]
        return hk.get_parameter("q", shape, init=jnp.zeros)[observation]

    return network
