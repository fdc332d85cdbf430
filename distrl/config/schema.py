"""The configuration tree: one dataclass a group, one docstring a field.

The same tree is the YAML file, the command-line flags and the Python object.
A step count always says which step it counts: `env_steps` are calls of
`environment.step` summed over all environments, `learner_steps` are SGD steps.
`null` means "not set"; `0`, `0.0`, `[]` and `false` are values.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Backend = Literal["processes", "threads", "launchpad"]


@dataclass(frozen=True)
class NetworkConfig:
    """The Haiku network that computes the Q values."""

    factory: str = "mlp"
    """A name of `distrl list networks`, or `package.module:factory` of your own."""
    args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the factory, for example `hidden_sizes: [64, 64]`."""


@dataclass(frozen=True)
class ExplorationConfig:
    """How often an environment takes a random action."""

    schedule: Literal["fixed", "linear", "apex"] = "fixed"
    """`fixed`; `linear` over the run; `apex`, another epsilon in each environment."""
    epsilon: float = 0.05
    """The probability of a random action: fixed, or at the end of `linear`."""
    initial_epsilon: float = 1.0
    """The probability of a random action at the start of `linear`."""
    decay_env_steps: int = 10_000
    """The env_steps of the whole run after which `linear` is at `epsilon`."""
    apex_base: float = 0.4
    """The base of `apex`: environment i of N has base^(1 + alpha * i / (N - 1))."""
    apex_alpha: float = 7.0
    """The exponent's width in `apex` (arXiv 1803.00933)."""


@dataclass(frozen=True)
class ActorConfig:
    """The processes that act, and the transitions they write."""

    count: int = 2
    """The number of actor processes."""
    environments: int = 16
    """The environments a process steps in lock-step."""
    discount: float = 0.99
    """The discount gamma; it is applied here, when returns are summed, only."""
    n_step: int = 1
    """The rewards summed before a transition bootstraps."""
    fetch_seconds: float = 0.1
    """The seconds between two fetches of newer parameters."""
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    """How often an environment takes a random action."""


@dataclass(frozen=True)
class ReplayConfig:
    """The Reverb server between actors and learner."""

    kind: Literal["uniform", "prioritized"] = "uniform"
    """How items are drawn: all alike, or by their TD error (arXiv 1511.05952)."""
    capacity: int = 100_000
    """The transitions kept; the oldest leave first."""
    min_size: int = 1_000
    """The transitions that must be there before the learner starts."""
    samples_per_insert: float | None = 32.0
    """How often a transition is sampled on average; null removes the limit."""
    error_buffer: float | None = None
    """The samples that actors or learner may run ahead; null derives a safe one."""
    transitions_per_item: int = 32
    """The transitions in a Reverb item: 1 is the reference, more is faster."""
    shuffle_steps: int = 8
    """The steps over which an actor shuffles transitions before it writes blocks."""
    priority_exponent: float = 0.6
    """Prioritised: the exponent of the TD error; 0 draws uniformly."""
    priority_epsilon: float = 1e-6
    """Prioritised: added to every priority, so that no transition is lost for ever."""
    importance_exponent: float = 0.4
    """Prioritised: the exponent of the importance weights; 0 weighs all alike."""
    prefetch: int = 2
    """The superbatches that wait on the learner's side."""


@dataclass(frozen=True)
class LearnerConfig:
    """The updates on the accelerator."""

    devices: int | None = None
    """The devices that share a superbatch; null takes all that JAX shows."""
    batch_size: int = 256
    """The transitions of an SGD step, over all devices."""
    steps_per_dispatch: int = 8
    """The SGD steps that one call of the device makes."""
    learning_rate: float = 1e-3
    """The step size of Adam."""
    max_gradient_norm: float | None = None
    """The global norm to which gradients are clipped; null does not clip."""
    huber_delta: float | None = 1.0
    """Where the Huber loss turns linear; null is the squared loss."""
    target_update_period: int | None = 100
    """The learner_steps between two copies to the target network."""
    target_update_rate: float | None = None
    """Polyak averaging of the target network instead: its step size."""
    publish_period: int = 16
    """The learner_steps between two publications of the parameters."""
    metrics_period: int = 50
    """The dispatches between two readings of the metrics."""


@dataclass(frozen=True)
class EvaluationConfig:
    """The greedy evaluations of one frozen version of the parameters."""

    episodes: int = 100
    """The whole episodes of an evaluation."""
    environments: int = 25
    """The environments stepped in lock-step; they must divide the episodes."""
    epsilon: float = 0.0
    """The probability of a random action."""
    period: int = 100
    """The learner_steps before the first evaluation and between two, at least."""


@dataclass(frozen=True)
class StopConfig:
    """When a run is done: the first condition that holds; null switches one off."""

    env_steps: int | None = None
    """The env_steps of all actors together."""
    learner_steps: int | None = None
    """The SGD steps of the learner."""
    seconds: float | None = None
    """The seconds since the first node started."""
    evaluation_return: float | None = None
    """The mean return that an evaluation reaches."""


@dataclass(frozen=True)
class LaunchConfig:
    """How the program runs on this machine."""

    backend: Backend = "processes"
    """`processes`; `threads`, all in one; `launchpad`, plain lp.launch."""
    isolate: bool = True
    """Cut the program off from the network, where the system allows it."""
    stop_seconds: float = 8.0
    """The seconds that nodes have to end; then they are killed."""
    report_seconds: float = 0.25
    """The seconds between two reports of a node to the coordinator."""
    silent_seconds: float = 30.0
    """The seconds without a report after which a node counts as silent."""
    rpc_seconds: float = 10.0
    """The time limit of one remote call."""
    connect_seconds: float = 60.0
    """The seconds that a node waits for another one to be there at all."""


@dataclass(frozen=True)
class Config:
    """A run: what is learned, by what, where, and for how long."""

    name: str = "run"
    """The name of the run; its directory begins with it."""
    seed: int = 1
    """The seed from which every node and environment derives its own."""
    run_dir: str | None = None
    """The directory of the run; null makes a new one, runs/NAME-TIME."""
    agent: str = "double_dqn"
    """A name of `distrl list agents`."""
    environment: str = "bsuite:catch/0"
    """bsuite:NAME/INDEX, gym:ID or package.module:factory, each with ?key=value."""
    environment_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment, beside those in its address."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The Haiku network that computes the Q values."""
    actor: ActorConfig = field(default_factory=ActorConfig)
    """The processes that act, and the transitions they write."""
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    """The Reverb server between actors and learner."""
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    """The updates on the accelerator."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """The greedy evaluations of one frozen version of the parameters."""
    stop: StopConfig = field(default_factory=StopConfig)
    """When a run is done: the first condition that holds."""
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    """How the program runs on this machine."""
