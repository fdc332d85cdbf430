"""The configuration tree: one dataclass a group, one docstring a field.

The same tree is the YAML file, the command-line flags and the Python object.
A step count always says which step it counts: `env_steps` are calls of
`environment.step` summed over all environments, `learner_steps` are SGD steps.
`null` means "not set"; `0`, `0.0`, `[]` and `false` are values.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

# Large enough that Reverb's cost per item no longer matters.
_BLOCK_SIZE = 32

Backend = Literal["processes", "threads", "launchpad", "serial", "ray"]


@dataclass(frozen=True)
class NetworkConfig:
    """The Haiku network: a torso, a recurrent core if set, and a head."""

    factory: str = "mlp"
    """A name of `distrl list networks`, or `package.module:factory` of your own."""
    args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the factory, for example `hidden_sizes: [64, 64]`."""
    head: Literal["linear", "dueling", "none"] = "linear"
    """What turns features into values; `none` takes the torso's own as they are."""
    head_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the head: `hidden_sizes`, layers of its own."""
    noisy: bool = False
    """Make the head's layers noisy (NoisyNet, arXiv 1706.10295)."""
    noisy_sigma: float = 0.5
    """The noise that a noisy layer starts with, over the root of its inputs."""
    core: Literal["none", "lstm", "gru"] = "none"
    """A recurrent core between torso and head; it learns from sequences."""
    core_size: int = 128
    """The units of the recurrent core."""
    initial_weights: Literal["haiku", "torch"] = "haiku"
    """How layers begin: as Haiku's; or uniform and smaller, as PyTorch's."""
    last_action_reward: bool = False
    """Show the network the last action and reward beside the observation."""

    @property
    def carry_sizes(self) -> tuple[int, ...]:
        """The units of each vector of one environment's recurrent state."""
        size = self.core_size
        return {"none": (), "gru": (size,), "lstm": (size, size)}[self.core]


@dataclass(frozen=True)
class ExplorationConfig:
    """How often an environment takes a random action."""

    schedule: Literal["fixed", "linear", "apex", "boltzmann"] = "fixed"
    """`fixed`, `linear` over the run, `apex` by environment; or `boltzmann`."""
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
    temperature: float = 0.1
    """`boltzmann`: actions are drawn from the softmax of Q / temperature."""


@dataclass(frozen=True)
class ActorConfig:
    """The processes that act, and the transitions they write."""

    count: int = 2
    """The number of actor processes."""
    environments: int = 16
    """The environments a process steps in lock-step."""
    environment_processes: int = 0
    """The processes in which an actor steps them; 0 steps them in its own."""
    discount: float = 0.99
    """The discount gamma; it is applied here, when returns are summed, only."""
    n_step: int = 1
    """The rewards summed before a transition bootstraps."""
    fetch_seconds: float = 0.1
    """The seconds between fetches of parameters; more is cheaper with many actors."""
    max_abs_reward: float | None = None
    """Clips every reward that is learned from; null does not. Returns stay whole."""
    initial_priorities: bool = False
    """Prioritised: give new items the TD error of the Q values acted on, not 1."""
    bsuite_log: bool = False
    """bsuite: log every training episode in RUN_DIR/bsuite; `distrl sweep` does."""
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    """How often an environment takes a random action."""


@dataclass(frozen=True)
class ReplayConfig:
    """The Reverb servers between actors and learner."""

    kind: Literal["uniform", "prioritized"] = "uniform"
    """How items are drawn: all alike, or by their TD error (arXiv 1511.05952)."""
    shards: int = 1
    """The servers that share replay and the actors: a divisor of actor.count."""
    capacity: int = 100_000
    """The transitions (or sequences) kept; the oldest leave first."""
    min_size: int = 1_000
    """The transitions (or sequences) that must be there before the learner starts."""
    samples_per_insert: float | None = 32.0
    """How often each is sampled on average; null removes the limit."""
    error_buffer: float | None = None
    """The samples that actors or learner may run ahead; null derives a safe one."""
    transitions_per_item: int | None = None
    """The transitions in a Reverb item; null is 32, and 1 where it has to be 1."""
    frame_stack: int | None = None
    """The frames of an observation, on its last axis, each stored once; null: whole."""
    sequence_length: int | None = None
    """Keep sequences of so many steps, within an episode; null keeps transitions."""
    sequence_period: int | None = None
    """The steps between the starts of two sequences; null is half their length."""
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

    @property
    def shard_names(self) -> tuple[str, ...]:
        """The names of the shards' nodes, and of their parts of a checkpoint."""
        return tuple(f"replay/{shard}" for shard in range(self.shards))

    @property
    def block_size(self) -> int:
        """The transitions per Reverb item, G; 1 where an item is a sequence."""
        if self.transitions_per_item is not None:
            return self.transitions_per_item
        is_single = self.kind == "prioritized" or self.sequence_length is not None
        return 1 if is_single else _BLOCK_SIZE

    @property
    def sequence_stride(self) -> int:
        """The steps between the starts of two sequences."""
        if self.sequence_period is not None:
            return self.sequence_period
        return max(1, (self.sequence_length or 1) // 2)


@dataclass(frozen=True)
class LearnerConfig:
    """The updates on the accelerator."""

    devices: int | None = None
    """The devices that share a superbatch; null takes all that JAX shows."""
    batch_size: int = 256
    """The transitions (or sequences) of an SGD step, over all devices."""
    steps_per_dispatch: int = 8
    """The SGD steps that one call of the device makes."""
    optimizer: str = "adam"
    """A name in Optax, as `adamw` or `contrib.muon`; or `package.module:factory`."""
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    """Its keyword arguments, for example `{centered: true}`."""
    learning_rate: float = 1e-3
    """The step size; where a schedule is set, the one that it starts from."""
    schedule: str | None = None
    """A schedule of Optax by its name, for example `cosine_decay_schedule`."""
    schedule_args: dict[str, Any] = field(default_factory=dict)
    """Its keyword arguments beside the first, for example `{decay_steps: 10000}`."""
    weight_decay_mask: Literal["all", "matrices"] = "all"
    """What an optimiser that decays weights decays; `matrices` leaves biases out."""
    max_gradient_norm: float | None = None
    """The global norm to which gradients are clipped; null does not clip."""
    target_update_period: int | None = 100
    """The learner_steps between two copies to the target network."""
    target_update_rate: float | None = None
    """Polyak averaging of the target network instead: its step size."""
    publish_period: int = 16
    """The learner_steps between two publications of the parameters."""
    metrics_period: int = 50
    """The dispatches between two readings of the metrics."""


@dataclass(frozen=True)
class VariablesConfig:
    """The way of the parameters from the learner to those who act."""

    relays: int = 0
    """The nodes that hand parameters on; actors share them. 0: from the service."""
    stale_seconds: float | None = None
    """How far an actor may be behind before a line says so; null: 10 s too much."""


@dataclass(frozen=True)
class LossConfig:
    """What the learner lowers; each agent reads what it is made of."""

    double: bool | None = None
    """The online network selects the next action; null is as the agent's paper."""
    huber_delta: float | None = 1.0
    """Where the Huber loss turns linear; null is the squared loss."""
    max_abs_td_gradient: float | None = None
    """Clips the gradient of each TD error, as DQN of 2015 did; null does not."""
    value_transform: Literal["none", "signed_hyperbolic"] = "none"
    """Learn values on a squashed scale instead of clipping rewards (R2D2)."""
    num_atoms: int = 51
    """C51: the atoms of a value's distribution."""
    v_min: float = -10.0
    """C51: the smallest value."""
    v_max: float = 10.0
    """C51: the largest value."""
    num_quantiles: int = 51
    """QR-DQN: the quantiles of a value's distribution."""
    tau_samples: int = 16
    """IQN: the quantiles drawn of the values that are learned."""
    target_tau_samples: int = 16
    """IQN: the quantiles drawn of the values that are learned from."""
    policy_tau_samples: int = 32
    """IQN: the quantiles drawn to choose an action."""
    munchausen_alpha: float = 0.9
    """Munchausen: the weight of the policy's log-probability in the reward."""
    munchausen_temperature: float = 0.03
    """Munchausen: the temperature of the softmax policy."""
    munchausen_clip: float = -1.0
    """Munchausen: the least scaled log-probability that is added."""
    burn_in: int = 0
    """Sequences: the first steps that only warm the recurrent state."""
    q_lambda: float | None = None
    """Sequences: lambda of Watkins' Q(lambda); null takes returns of `n_step`."""
    priority_mix: float = 0.9
    """Sequences: the largest TD error's share in a priority; the mean has the rest."""


@dataclass(frozen=True)
class EvaluationConfig:
    """The greedy evaluations of one frozen version of the parameters."""

    episodes: int = 100
    """The whole episodes of an evaluation."""
    environments: int = 25
    """The environments stepped in lock-step; they must divide the episodes."""
    environment_processes: int = 0
    """The processes in which they are stepped; 0 steps them in the evaluator's own."""
    max_episode_steps: int | None = 27_000
    """The steps after which an episode is cut off and counts as it is; null: never."""
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
    episodes: int | None = None
    """The training episodes that the actors have ended, all together."""
    seconds: float | None = None
    """The seconds since the first node started."""
    evaluation_return: float | None = None
    """The mean return that an evaluation reaches."""


@dataclass(frozen=True)
class CheckpointConfig:
    """What a run keeps, so that it can go on after an end or a crash."""

    period_seconds: float | None = 60.0
    """The seconds between two checkpoints; null makes one at the end only."""
    period_learner_steps: int | None = None
    """The learner_steps between two checkpoints; the one that `serial` obeys."""
    keep: int = 2
    """The newest checkpoints that are kept."""
    save_replay: bool = True
    """Save what replay holds, too; without it replay is filled anew."""
    save_seconds: float = 60.0
    """The seconds that a checkpoint may take; then it is given up."""


@dataclass(frozen=True)
class LaunchConfig:
    """How the program runs, on this machine or on a cluster."""

    backend: Backend = "processes"
    """`processes`; `threads`; `launchpad`, lp.launch; `serial`, one loop; `ray`."""
    isolate: bool = True
    """Cut the program off from the network, where the system allows it."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Environment variables of a group's nodes: `{learner: {JAX_PLATFORMS: cpu}}`."""
    check_seconds: float | None = 300.0
    """The seconds that each part of the check before the start may take; null: any."""
    start_seconds: float | None = 600.0
    """The seconds in which a node must begin to work, compiling included; null: any."""
    stop_seconds: float = 8.0
    """The seconds that nodes have to end; then they are killed."""
    report_seconds: float = 0.25
    """The seconds between two reports of a node to the coordinator."""
    metrics_seconds: float = 5.0
    """The seconds between two rows of a node's metrics, in CSV and TensorBoard."""
    log_mib: int = 16
    """The MiB of its output that are kept of a node, the newest; older goes."""
    silent_seconds: float = 30.0
    """The seconds without a sign of life after which a node counts as dead."""
    rpc_seconds: float = 10.0
    """The time limit of one remote call."""
    connect_seconds: float = 60.0
    """The seconds that a node waits for another one to be there at all."""
    restart: Literal["never", "killed", "always"] = "killed"
    """What is started again: nodes that were killed or hang; or also failed ones."""
    max_restarts: int = 5
    """The restarts of one node within the window; one more fails the run."""
    restart_window_seconds: float = 60.0
    """The window in which the restarts of a node are counted."""
    restart_delay_seconds: float = 0.25
    """The seconds before a restart; they double with each in the window."""
    address: str | None = None
    """ray: the running cluster, host:port or `auto`; null starts one here."""
    resources: dict[str, Any] = field(default_factory=dict)
    """ray: what a node of a group takes, `{learner: {num_gpus: 1}, ...}`."""
    strategy: Literal["spread", "pack"] = "spread"
    """ray: `spread` the nodes over all machines, or `pack` them on few."""
    runtime_env: dict[str, Any] = field(default_factory=dict)
    """ray: how your code gets to the machines, `{working_dir: .}` for example."""

    @property
    def patience_seconds(self) -> float:
        """How long a node waits for a server that does not answer.

        Long enough to notice that the server hangs, and to restart it.
        """
        return self.silent_seconds + self.connect_seconds


@dataclass(frozen=True)
class SweepConfig:
    """What `distrl sweep` runs; the other commands pass it over."""

    ids: str = "testing"
    """The bsuite ids: `all`, `testing`, a tag, `catch`, `catch/0-4`; with commas."""
    jobs: int = 1
    """The ids that are run at the same time."""
    episodes: int | None = None
    """The episodes of each id; null is bsuite's own number, the only one scored."""


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
    """A name of `distrl list agents`, or `package.module:factory` of your own."""
    agent_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of an agent of your own; ours have none but fields."""
    environment: str = "bsuite:catch/0"
    """As atari:Pong or package.module:factory, ?key=value; see `distrl list envs`."""
    environment_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment, beside those in its address."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The Haiku network: a torso, a recurrent core if set, and a head."""
    actor: ActorConfig = field(default_factory=ActorConfig)
    """The processes that act, and the transitions they write."""
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    """The Reverb servers between actors and learner."""
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    """The updates on the accelerator."""
    variables: VariablesConfig = field(default_factory=VariablesConfig)
    """The way of the parameters from the learner to those who act."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What the learner lowers; each agent reads what it is made of."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """The greedy evaluations of one frozen version of the parameters."""
    stop: StopConfig = field(default_factory=StopConfig)
    """When a run is done: the first condition that holds."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """What a run keeps, so that it can go on after an end or a crash."""
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    """How the program runs, on this machine or on a cluster."""
    sweep: SweepConfig = field(default_factory=SweepConfig)
    """What `distrl sweep` runs; the other commands pass it over."""

    @property
    def usual_staleness_seconds(self) -> float:
        """How old an actor's parameters may be while all is well.

        One fetch period, or two with relays, which fetch as well; the time that a
        fetch itself takes comes on top.
        """
        return (2 if self.variables.relays else 1) * self.actor.fetch_seconds
