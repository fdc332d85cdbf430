"""Agents: pure functions for acting and for the loss; one module per loss family.

Importing this package does not import JAX; making an agent does.
"""

from distrl.agents.agent import Agent, LossOutput
from distrl.agents.registry import list_agents, make_agent, preload_agents

__all__ = ["Agent", "LossOutput", "list_agents", "make_agent", "preload_agents"]
