"""The smallest example: Q-learning on Catch in one process, in well under a minute.

One environment, a small replay buffer in NumPy, an MLP, an epsilon-greedy policy for
training and a greedy one for evaluation. No Reverb, no Launchpad: the distributed
program runs the same pure functions, in more processes.

    python programs/catch_q_learning.py [--seed N]
"""

import argparse
import sys

import jax
import numpy as np
import optax
from bsuite.environments.catch import Catch

from distrl.actor.policy import Policy
from distrl.agents import make_agent
from distrl.agents.acting import epsilon_greedy
from distrl.config import Config, LearnerConfig, LossConfig
from distrl.learner.optimizer import make_optimizer
from distrl.types import EnvironmentSpec, Transition

EPSILON, DISCOUNT, BATCH, CAPACITY = 0.1, 0.99, 64, 10_000
EPISODES, EVALUATE_EVERY, EVALUATION_EPISODES, SOLVED = 3_000, 100, 100, 0.95


def main(seed: int) -> bool:
    """Trains until an evaluation reaches SOLVED; returns whether one did."""
    rng = np.random.default_rng(seed)
    environment, evaluation_environment = Catch(seed=seed), Catch(seed=seed + 10_000)
    num_actions = environment.action_spec().num_values
    spec = EnvironmentSpec(environment.observation_spec(), num_actions)
    squared_loss, learner = LossConfig(huber_delta=None), LearnerConfig()
    config = Config(agent="dqn", loss=squared_loss, learner=learner)
    agent = make_agent(config, spec)
    optimizer = make_optimizer(config.learner)

    key, init_key, play_key = jax.random.split(jax.random.PRNGKey(seed), 3)
    policy = Policy(agent, epsilon_greedy, "act", 1, play_key)
    params, network_state = jax.jit(agent.init)(init_key)
    optimizer_state = optimizer.init(params)

    @jax.jit
    def update(params, optimizer_state, key, transition):
        weights, keys = np.ones(BATCH, np.float32), jax.random.split(key, BATCH)
        # Plain Q-learning bootstraps from the network itself: target = params.
        gradients, _ = jax.grad(agent.loss, has_aux=True)(
            params, params, network_state, keys, transition, weights
        )
        updates, optimizer_state = optimizer.update(gradients, optimizer_state)
        return optax.apply_updates(params, updates), optimizer_state

    def act(observation, epsilon):
        epsilons = np.full(1, epsilon, np.float32)
        chosen = policy.act(params, network_state, observation[None], epsilons)
        return int(chosen.action[0])

    def evaluate():
        total = 0.0
        for _ in range(EVALUATION_EPISODES):
            step = evaluation_environment.reset()
            while not step.last():
                step = evaluation_environment.step(act(step.observation, epsilon=0.0))
                total += step.reward
        return total / EVALUATION_EPISODES

    replay: list[Transition] = []
    for episode in range(1, EPISODES + 1):
        step = environment.reset()
        while not step.last():
            action = act(step.observation, EPSILON)
            next_step = environment.step(action)
            reward = np.float32(next_step.reward)
            discount = np.float32(DISCOUNT * next_step.discount)
            then = next_step.observation
            replay.append(Transition(step.observation, action, reward, discount, then))
            step = next_step
        del replay[:-CAPACITY]
        for _ in range(4):
            picks = rng.integers(len(replay), size=BATCH)
            batch = jax.tree.map(lambda *x: np.stack(x), *[replay[i] for i in picks])
            key, update_key = jax.random.split(key)
            params, optimizer_state = update(params, optimizer_state, update_key, batch)
        if episode % EVALUATE_EVERY == 0:
            score = evaluate()
            print(f"episode {episode}: evaluation return {score:.2f}", flush=True)
            if score >= SOLVED:
                print(f"solved: {score:.2f} >= {SOLVED}")
                return True
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(0 if main(parser.parse_args().seed) else 1)
