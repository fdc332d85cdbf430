"""Run directories with given contents, made without training."""

from pathlib import Path

import jax
import numpy as np

from distrl.agents import make_agent
from distrl.checkpoints.best import BestKeeper, find_best
from distrl.checkpoints.layout import RunProgress, complete_checkpoint
from distrl.checkpoints.run_spec import write_run_spec
from distrl.config import config_to_yaml, load_config, load_run
from distrl.environments import read_spec
from distrl.learner.checkpoint import describe_origin, save_train_state
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state

# The reward is the action: an episode's return is the best action times its length.
ACTIONS = {
    "environment": "counting_environments:Rewarding?length=3",
    "network.factory": "example_networks:constant",
    "network.head": "none",
    "evaluation.episodes": 8,
    "evaluation.environments": 4,
}


def write_config(run_dir: Path, values: dict):
    """Writes config.yaml, and returns the config that `load_run` reads."""
    run_dir.mkdir(exist_ok=True)
    (run_dir / "config.yaml").write_text(config_to_yaml(load_config(None, values)))
    return load_run(str(run_dir))


def q_values(*q):
    """Returns params of the network `constant`."""
    return {"~": {"q": np.array(q, np.float32)}}


def prefer(action):
    """Returns params with which `action`, of three, is the greedy one."""
    return q_values(*np.eye(3)[action])


def make_state(config, params=None):
    """Returns the initial state of a learner, with `params` if they are given.

    Also writes spec.json, of which everything that is saved gets a copy.
    """
    spec = read_spec(
        config.environment,
        config.environment_args,
        last_action_reward=config.network.last_action_reward,
    )
    write_run_spec(config.run_dir, describe_origin(config, spec))
    agent, optimizer = make_agent(config, spec), make_optimizer(config.learner)
    state = init_state(agent, optimizer, jax.random.PRNGKey(0))
    state = jax.tree.map(np.asarray, state)
    return state if params is None else state._replace(params=params)


def save_latest(config, params, learner_steps, name="000001"):
    """Saves a checkpoint as the learner does."""
    steps = np.asarray(learner_steps, np.int32)
    state = make_state(config, params)._replace(learner_steps=steps)
    save_train_state(config.run_dir, name, state, learner_steps)
    progress = RunProgress(learner_steps=learner_steps)
    return complete_checkpoint(config.run_dir, name, progress, keep=2)


def save_as_best(config, params, learner_steps, mean_return=1.0):
    """Saves params as the best checkpoint."""
    if params is None:
        params = make_state(config).params
    state = make_state(config).network_state
    keeper = BestKeeper(config.run_dir, 8)
    keeper.offer((params, state), learner_steps, mean_return)
    return find_best(config.run_dir)
