"""distrl: distributed actor-learner Q-learning on JAX, Reverb and Launchpad."""

__version__ = "0.1.0"
