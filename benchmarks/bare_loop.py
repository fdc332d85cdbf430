"""A bare loop: an actor's environments and its jitted policy, and nothing else.

It runs in a process that is set up like an actor's.
"""

import base64
import os
import pickle
import subprocess
import sys
import time

from distrl.config import Config
from distrl.launch.devices import node_environment


def run_bare_loop(config: Config, seconds: float) -> float:
    """Returns the env steps per second of the first actor's bare loop."""
    payload = base64.b64encode(pickle.dumps((config, seconds)))
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.bare_loop"],
        env={**os.environ, **node_environment("actor")},
        input=payload,
        stdout=subprocess.PIPE,
        # Like a node: the scheduler may divide processor time by sessions.
        start_new_session=True,
        check=True,
    )
    return float(answer.stdout)


def measure_bare_loop(config: Config, seconds: float) -> float:
    """Measures it in this process."""
    import jax

    from distrl.actor.exploration import make_exploration_schedule, make_explore
    from distrl.actor.policy import Policy, place
    from distrl.agents import make_agent
    from distrl.environments import make_vector_environment, read_spec

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    spec = read_spec(
        config.environment,
        config.environment_args,
        last_action_reward=config.network.last_action_reward,
    )
    agent = make_agent(config, spec)
    count = config.actor.environments
    environment = make_vector_environment(config, spec, count, "actor", 0)
    key = jax.random.PRNGKey(config.seed)
    policy = Policy(agent, make_explore(config), "act", count, key)
    params, state = place(jax.device_get(agent.init(key)))
    exploration = make_exploration_schedule(config, 0)(0)
    policy.compile(spec)
    observation = environment.reset()

    def loop(seconds: float) -> float:
        nonlocal observation
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            action = policy.act(params, state, observation, exploration).action
            observation = environment.step(action).observation
            steps += count
        return steps / (time.perf_counter() - started)

    # `measure_rate` leaves out the beginning, too.
    loop(seconds / 5)
    rate = loop(seconds)
    environment.close()
    return rate


if __name__ == "__main__":
    print(measure_bare_loop(*pickle.loads(base64.b64decode(sys.stdin.buffer.read()))))
