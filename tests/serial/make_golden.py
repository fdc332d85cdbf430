"""Writes golden.json: a summary of each agent's params after 50 updates.

Run `python tests/serial/make_golden.py` from the root of the repository after a change
that is meant to alter what is learned, and read the diff before committing it.
"""

import json
import warnings
from pathlib import Path

import jax
import numpy as np

from distrl.agents import list_agents
from distrl.config import Config, check_config, config_from_dict
from distrl.environments import read_spec
from distrl.serial import run_serial

FILE = Path(__file__).with_name("golden.json")
_ENTRIES = 4


def make_config(agent: str) -> Config:
    """Returns a config of 50 updates on Catch; only the agent varies."""
    config = config_from_dict(
        {
            "agent": agent,
            "seed": 7,
            "environment": "bsuite:catch/0",
            "network": {"args": {"hidden_sizes": [16]}, "core_size": 8},
            "actor": {"environments": 8},
            "replay": {
                "capacity": 200,
                "min_size": 16,
                "samples_per_insert": None,
                "transitions_per_item": 1,
            },
            "learner": {
                "devices": 1,
                "batch_size": 16,
                "steps_per_dispatch": 2,
                "target_update_period": 10,
            },
            "evaluation": {"period": 1_000},
            "stop": {"learner_steps": 50},
        }
    )
    check_config(config)
    return config


def summarize(agent: str) -> dict[str, dict]:
    """Trains an agent and returns a summary of each array, `[...] float32`, by path."""
    config = make_config(agent)
    # JAX 0.5 changed what it draws from a key.
    with jax.threefry_partitionable(False):
        state = run_serial(config, read_spec(config.environment, {}))
    assert state.counts.learner_steps == 50
    leaves = jax.tree_util.tree_leaves_with_path(state.learning.train.params)
    return {
        jax.tree_util.keystr(path): _summarize(np.asarray(leaf)[0])
        for path, leaf in leaves
    }


def _summarize(array: np.ndarray) -> dict:
    flat = array.reshape(-1).astype(np.float64)
    places = np.linspace(0, len(flat) - 1, _ENTRIES).astype(int)
    return {
        "shape": list(array.shape),
        "sum": float(flat.sum()),
        "abs_sum": float(np.abs(flat).sum()),
        "entries": flat[places].tolist(),
    }


def main() -> None:
    """Writes the file."""
    warnings.simplefilter("ignore", DeprecationWarning)
    golden = {agent: summarize(agent) for agent in list_agents()}
    FILE.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{FILE.name}: {', '.join(golden)}")


if __name__ == "__main__":
    main()
