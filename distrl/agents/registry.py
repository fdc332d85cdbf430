"""The table of agents, and loading of a user's own agent by its address."""

from distrl.agents.agent import Agent
from distrl.config.factories import Named, check_keywords, find_factory, preload
from distrl.config.schema import Config
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
    "dueling_dqn": Named(
        "Double DQN with a state value and advantages (arXiv 1511.06581).",
        "distrl.agents.q_learning:make_double_dqn",
    ),
    "prioritized_dqn": Named(
        "Double DQN on replay by TD error (arXiv 1511.05952).",
        "distrl.agents.q_learning:make_double_dqn",
    ),
    "noisy_dqn": Named(
        "DQN that explores by noisy weights (arXiv 1706.10295).",
        "distrl.agents.q_learning:make_dqn",
    ),
    "munchausen_dqn": Named(
        "DQN that adds its own log-policy to the reward (arXiv 2007.14430).",
        "distrl.agents.q_learning:make_munchausen_dqn",
    ),
    "c51": Named(
        "Learns the distribution of returns on fixed atoms (arXiv 1707.06887).",
        "distrl.agents.categorical:make_c51",
    ),
    "qr_dqn": Named(
        "Learns quantiles of the returns (arXiv 1710.10044).",
        "distrl.agents.quantile:make_qr_dqn",
    ),
    "iqn": Named(
        "Learns the returns at quantiles drawn at random (arXiv 1806.06923).",
        "distrl.agents.quantile:make_iqn",
    ),
    "rainbow": Named(
        "C51, double, dueling, noisy, prioritized, n-step (arXiv 1710.02298).",
        "distrl.agents.categorical:make_rainbow_loss",
    ),
    "apex": Named(
        "Double DQN, dueling, n-step, priorities from the actors (arXiv 1803.00933).",
        "distrl.agents.q_learning:make_double_dqn",
    ),
    "r2d2": Named(
        "A recurrent network on prioritized sequences (ICLR 2019).",
        "distrl.agents.sequences:make_r2d2",
    ),
}


def list_agents() -> dict[str, str]:
    """Returns a one-line description of each agent by name."""
    return {name: named.description for name, named in sorted(_AGENTS.items())}


def preload_agents() -> None:
    """Imports the modules of all built-in agents, and RLax."""
    import rlax  # noqa: F401, the losses import it when they are traced

    preload(_AGENTS)


def make_agent(config: Config, spec: EnvironmentSpec) -> Agent:
    """Returns the configured agent; raises ConfigError if it cannot be made.

    A user's own agent, `package.module:factory`, is made by
    `factory(config, spec, **config.agent_args)`.
    """
    factory = find_factory("agent", config.agent, _AGENTS)
    check_keywords("agent_args", factory, config.agent_args, positional=2)
    return factory(config, spec, **config.agent_args)
