"""The agents by name, and those of a user's own by address."""

from distrl.agents.agent import Agent
from distrl.config.schema import Config
from distrl.factories import Named, find_factory, preload
from distrl.types import EnvironmentSpec

_AGENTS = {
    "dqn": Named(
        "Q-learning with a target network (arXiv 1312.5602).",
        "distrl.agents.q_learning:make_dqn",
    ),
    "double_dqn": Named(
        "DQN whose online network selects the next action (arXiv 1509.06461).",
        "distrl.agents.q_learning:make_double_dqn",
    ),
}


def list_agents() -> dict[str, str]:
    """Returns a line of description for each name."""
    return {name: named.description for name, named in sorted(_AGENTS.items())}


def preload_agents() -> None:
    """Imports the modules of all our own agents, RLax with them."""
    preload(_AGENTS)


def make_agent(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns the agent that the configuration names.

    One of a user's own, `package.module:factory`, is called as
    `factory(config, spec)`.

    Raises:
      ConfigError: there is no such agent, or its network cannot be made.
    """
    return find_factory("agent", config.agent, _AGENTS)(config, spec)
