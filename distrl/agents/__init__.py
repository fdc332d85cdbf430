"""Agents: pure functions that act and give a loss; one module a loss family.

Importing this package imports no JAX; making an agent does.
"""

from distrl.agents.agent import Agent, LossOutput
from distrl.agents.registry import list_agents, make_agent, preload_agents

__all__ = ["Agent", "LossOutput", "list_agents", "make_agent", "preload_agents"]
