"""Custom optimizers, named in tests by address."""

import optax


def accumulated(learning_rate, steps=2):
    """SGD on the mean of some gradients."""
    return optax.MultiSteps(optax.sgd(learning_rate), steps).gradient_transformation()


def only_layers(learning_rate, layers=("values_0",)):
    """SGD on the layers of some names; those of `layers` have to be there."""

    def label(params):
        assert set(layers) <= set(params), f"no {layers} in {sorted(params)}"
        return {name: "on" if name in layers else "off" for name in params}

    parts = {"on": optax.sgd(learning_rate), "off": optax.set_to_zero()}
    return optax.multi_transform(parts, label)


def halved(learning_rate):
    """Takes a number, and no schedule."""
    return optax.sgd(learning_rate / 2)


def nothing(learning_rate):
    return None


def unlabelled(learning_rate):
    """Raises an error of several lines."""
    parts = {"a": optax.sgd(learning_rate)}
    return optax.multi_transform(parts, lambda params: dict.fromkeys(params, "b"))


def growing(learning_rate):
    """Changes the dtype of its state."""
    return optax.GradientTransformation(
        lambda params: 0, lambda updates, state, params=None: (updates, state + 0.5)
    )


def without_rate():
    return optax.sgd(0.1)
