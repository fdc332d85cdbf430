"""The configuration of a run: one dataclass per section, one docstring per field.

The YAML file, the command-line flags and the Python object have this same tree. A
field is declared here only: its type holds its range and whether a resume may change
it (`field_types`), and its docstring is its help text.

`env_steps` are calls of `environment.step`, summed over all environments;
`learner_steps` are SGD steps. `null` means "not set"; `0`, `0.0`, `[]` and `false` are
values.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from distrl.config.field_types import (
    Changeable,
    Count,
    Fixed,
    Fraction,
    NotNegative,
    NotPositive,
    Positive,
    Probability,
    Seconds,
    Size,
    SizeFromTwo,
    SizeOrZero,
)
from distrl.config.launch_schema import LaunchConfig

Args = dict[str, Any]
# Large enough that Reverb's cost per item is negligible.
_BLOCK_SIZE = 32

_AGENT = Fixed("the saved state belongs to that agent")
_ENVIRONMENT = Fixed("parameters and replay come from that environment")
_NETWORK = Fixed("the saved parameters belong to that network")
_ACTOR = Fixed("the transitions in replay were made with it")
_REPLAY = Fixed("replay is restored as it was saved, with its limits")
_LEARNER = Fixed("the saved state of the optimizer was made with it")
_LOSS = Fixed("parameters and priorities were learned with that loss")
_SUPERBATCH = Fixed("the saved limits of replay were derived from it")


@dataclass(frozen=True)
class NetworkConfig:
    """The Haiku network: a torso, an optional recurrent core, and a head."""

    factory: str = "mlp"
    """A name from `distrl list networks`, or `package.module:factory` of your own."""
    args: Args = field(default_factory=dict)
    """Keyword arguments of the factory, for example `hidden_sizes: [64, 64]`."""
    head: Literal["linear", "dueling", "none"] = "linear"
    """Turns features into Q values; `none` uses the torso's outputs as they are."""
    head_args: Args = field(default_factory=dict)
    """Keyword arguments of the head: `hidden_sizes`, its own hidden layers."""
    noisy: bool = False
    """Make the head's layers noisy (NoisyNet, arXiv 1706.10295)."""
    noisy_sigma: NotNegative = 0.5
    """Initial noise of a noisy layer, divided by the root of its input size."""
    core: Literal["none", "lstm", "gru"] = "none"
    """Recurrent core between torso and head; it learns from sequences."""
    core_size: Size = 128
    """Units of the recurrent core."""
    initial_weights: Literal["haiku", "torch"] = "haiku"
    """Initial weights: Haiku's, or PyTorch's, which are uniform and smaller."""
    last_action_reward: bool = False
    """Show the network the last action and reward with the observation."""

    @property
    def carry_sizes(self) -> tuple[int, ...]:
        """The size of each vector of one environment's recurrent state."""
        size = self.core_size
        return {"none": (), "gru": (size,), "lstm": (size, size)}[self.core]


@dataclass(frozen=True)
class ExplorationConfig:
    """How often an environment takes a random action."""

    schedule: Literal["fixed", "linear", "apex", "boltzmann"] = "fixed"
    """`fixed`, `linear` over the run, `apex` by environment, or `boltzmann`."""
    epsilon: Probability = 0.05
    """Probability of a random action: with `fixed`, or at the end of `linear`."""
    initial_epsilon: Probability = 1.0
    """Probability of a random action at the start of `linear`."""
    decay_env_steps: Count = 10_000
    """The env_steps of the whole run over which `linear` decays to `epsilon`."""
    apex_base: Fraction = 0.4
    """Base of `apex`: environment i of N has base^(1 + alpha * i / (N - 1))."""
    apex_alpha: NotNegative = 7.0
    """Alpha of `apex` (arXiv 1803.00933)."""
    temperature: Positive = 0.1
    """`boltzmann` draws actions from the softmax of Q / temperature."""


@dataclass(frozen=True)
class ActorConfig:
    """The processes that act and write transitions."""

    count: Changeable[Size] = 2
    """Number of actor processes."""
    environments: Changeable[Size] = 16
    """Environments that each actor steps in lock-step."""
    environment_processes: Changeable[SizeOrZero] = 0
    """Processes in which an actor steps its environments; 0: in its own process."""
    discount: Probability = 0.99
    """The discount gamma; applied only here, when rewards are summed."""
    n_step: Size = 1
    """Number of rewards summed before a transition bootstraps."""
    fetch_seconds: Changeable[Seconds] = 0.1
    """Seconds between fetches of parameters; raise it for many actors."""
    max_abs_reward: Positive | None = None
    """Clip the rewards learned from; null does not. Reported returns are unclipped."""
    initial_priorities: bool = False
    """Prioritized: the initial priority is the actor's TD error instead of 1."""
    bsuite_log: bool = False
    """bsuite: log every training episode in RUN_DIR/bsuite; `distrl sweep` sets it."""
    exploration: Changeable[ExplorationConfig] = ExplorationConfig()


@dataclass(frozen=True)
class ReplayConfig:
    """What the learner learns from, and the Reverb servers that actors write to."""

    kind: Literal["uniform", "prioritized"] = "uniform"
    """Sample uniformly, or in proportion to the TD error (arXiv 1511.05952)."""
    sampled_on: Literal["learner", "server"] | None = None
    """Keep and draw items on the learner's devices, or on Reverb; null: if they fit."""
    shards: Size = 1
    """Number of Reverb servers; actors are divided among them evenly."""
    capacity: Size = 100_000
    """Transitions (or sequences) kept; the oldest are removed first."""
    min_size: Size = 1_000
    """Transitions (or sequences) needed before learning starts."""
    samples_per_insert: Positive | None = 32.0
    """How often each is sampled on average; null removes the limit."""
    error_buffer: Positive | None = None
    """Samples by which actors or learner may run ahead; null derives a safe value."""
    transitions_per_item: Size | None = None
    """Transitions per Reverb item; null: 32, or 1 for sequences and server priority."""
    frame_stack: SizeFromTwo | None = None
    """Frames per observation, on its last axis, each stored once; null: no stacks."""
    sequence_length: Size | None = None
    """Store sequences of this many steps of an episode; null stores transitions."""
    sequence_period: Size | None = None
    """Steps between the starts of two sequences; null: half their length."""
    shuffle_steps: Changeable[SizeOrZero] = 8
    """Steps over which an actor shuffles transitions before it writes blocks."""
    priority_exponent: NotNegative = 0.6
    """Prioritized: exponent of the TD error; 0 samples uniformly."""
    priority_epsilon: NotNegative = 1e-6
    """Prioritized: added to every priority, so that all can be sampled again."""
    importance_exponent: Changeable[Probability] = 0.4
    """Prioritized: exponent of the importance weights; 0 weighs all equally."""
    prefetch: Changeable[Size] = 2
    """Superbatches prefetched by the learner."""

    @property
    def shard_names(self) -> tuple[str, ...]:
        """The names of the shards' nodes, and of their parts of a checkpoint."""
        return tuple(f"replay/{shard}" for shard in range(self.shards))

    @property
    def block_size(self) -> int:
        """The transitions per block, which is one Reverb item; 1 for sequences."""
        if self.transitions_per_item is not None:
            return self.transitions_per_item
        has_priority = self.sampled_on == "server" and self.kind == "prioritized"
        return 1 if has_priority or self.sequence_length is not None else _BLOCK_SIZE

    @property
    def sequence_stride(self) -> int:
        """The steps between the starts of successive sequences."""
        if self.sequence_period is not None:
            return self.sequence_period
        return max(1, (self.sequence_length or 1) // 2)


@dataclass(frozen=True)
class LearnerConfig:
    """The updates on the accelerator."""

    devices: Changeable[Size | None] = None
    """Devices that share a superbatch; null uses all that JAX shows."""
    batch_size: Annotated[Size, _SUPERBATCH] = 256
    """Transitions (or sequences) per SGD step, over all devices."""
    steps_per_dispatch: Annotated[Size, _SUPERBATCH] = 8
    """SGD steps per call of the device."""
    optimizer: str = "adam"
    """A name in Optax, as `adamw` or `contrib.muon`, or `package.module:factory`."""
    optimizer_args: Args = field(default_factory=dict)
    """Keyword arguments of the optimizer, for example `{centered: true}`."""
    learning_rate: Changeable[Positive] = 1e-3
    """Step size; with a schedule, its initial value."""
    schedule: str | None = None
    """Name of an Optax schedule, for example `cosine_decay_schedule`."""
    schedule_args: Changeable[Args] = field(default_factory=dict)
    """Keyword arguments after the schedule's first, as `{decay_steps: 10000}`."""
    weight_decay_mask: Literal["all", "matrices"] = "all"
    """Parameters that weight decay applies to; `matrices` excludes biases."""
    max_gradient_norm: Positive | None = None
    """Clip gradients to this global norm; null does not clip."""
    target_update_period: Changeable[Size | None] = 100
    """The learner_steps between copies to the target network."""
    target_update_rate: Changeable[Fraction | None] = None
    """Polyak averaging of the target network instead: its step size."""
    publish_period: Changeable[Count] = 16
    """The learner_steps between publications of the parameters."""
    metrics_period: Changeable[Count] = 50
    """Dispatches between readings of the metrics."""


@dataclass(frozen=True)
class VariablesConfig:
    """Parameter distribution from the learner to actors and evaluator."""

    relays: SizeOrZero = 0
    """Nodes that pass parameters on to actors; 0: actors ask the service directly."""
    stale_seconds: Seconds | None = None
    """Warn when parameters are older than this; null: the usual delay + 10 s."""


@dataclass(frozen=True)
class LossConfig:
    """Loss settings; each agent reads the fields that apply to it."""

    double: bool | None = None
    """The online network selects the next action; null: as in the agent's paper."""
    huber_delta: Positive | None = 1.0
    """Error above which the Huber loss is linear; null: squared loss."""
    max_abs_td_gradient: Positive | None = None
    """Clip the gradient of each TD error, as DQN (2015) does; null does not."""
    value_transform: Literal["none", "signed_hyperbolic"] = "none"
    """Learn values on a squashed scale instead of clipping rewards (R2D2)."""
    num_atoms: SizeFromTwo = 51
    """C51: number of atoms of a value distribution."""
    v_min: float = -10.0
    """C51: smallest value."""
    v_max: float = 10.0
    """C51: largest value."""
    num_quantiles: Size = 51
    """QR-DQN: number of quantiles of a value distribution."""
    tau_samples: Size = 16
    """IQN: quantiles sampled for the predicted values."""
    target_tau_samples: Size = 16
    """IQN: quantiles sampled for the target values."""
    policy_tau_samples: Size = 32
    """IQN: quantiles sampled to choose an action."""
    munchausen_alpha: Probability = 0.9
    """Munchausen: weight of the policy's log-probability in the reward."""
    munchausen_temperature: Positive = 0.03
    """Munchausen: temperature of the softmax policy."""
    munchausen_clip: NotPositive = -1.0
    """Munchausen: lower bound of the scaled log-probability."""
    burn_in: SizeOrZero = 0
    """Sequences: first steps, used only to warm up the recurrent state."""
    q_lambda: Probability | None = None
    """Sequences: lambda of Watkins' Q(lambda); null: `n_step` returns."""
    priority_mix: Probability = 0.9
    """Sequences: weight of the largest TD error in a priority, with the mean."""


@dataclass(frozen=True)
class EvaluationConfig:
    """Greedy evaluations, each of one version of the parameters."""

    episodes: Size = 100
    """Complete episodes per evaluation."""
    environments: Size = 25
    """Environments stepped in lock-step; a divisor of the episodes."""
    environment_processes: SizeOrZero = 0
    """Processes in which they are stepped; 0: in the evaluator's own process."""
    max_episode_steps: Count | None = 27_000
    """Steps after which an episode is cut off and counted as it is; null: never."""
    epsilon: Probability = 0.0
    """Probability of a random action."""
    period: Count = 100
    """Least number of learner_steps before the first evaluation and between two."""


@dataclass(frozen=True)
class StopConfig:
    """When a run is done: at the first condition that holds; null disables one."""

    env_steps: Count | None = None
    """The env_steps of all actors together."""
    learner_steps: Count | None = None
    """SGD steps."""
    episodes: Count | None = None
    """Training episodes completed by all actors together."""
    seconds: Seconds | None = None
    """Seconds since the first node started."""
    evaluation_return: float | None = None
    """Mean return of an evaluation."""


@dataclass(frozen=True)
class CheckpointConfig:
    """Checkpoints, from which a run resumes after its end or a crash."""

    period_seconds: Seconds | None = 60.0
    """Seconds between checkpoints; null makes one at the end only."""
    period_learner_steps: Count | None = None
    """The learner_steps between checkpoints; the only period that `serial` uses."""
    keep: Count = 2
    """Number of checkpoints kept, the newest."""
    save_replay: bool = True
    """Save the contents of replay as well; otherwise replay is filled again."""
    save_seconds: Seconds = 60.0
    """Time limit of a checkpoint, after which it is abandoned."""


@dataclass(frozen=True)
class SweepConfig:
    """What `distrl sweep` runs; other commands ignore it."""

    ids: str = "testing"
    """bsuite ids, with commas: `all`, `testing`, a tag, `catch`, `catch/0-4`."""
    jobs: Size = 1
    """Number of ids that run at the same time."""
    episodes: Count | None = None
    """Episodes per id; null: bsuite's own number, the only one it scores."""


@dataclass(frozen=True)
class Config:
    """The whole configuration of a run."""

    name: Changeable[str] = "run"
    """Name of the run; the name of its directory begins with it."""
    seed: Annotated[SizeOrZero, Fixed("keys derived from it are saved")] = 1
    """Seed from which every node and environment derives its own."""
    run_dir: Changeable[str | None] = None
    """Directory of the run; null makes a new one, runs/NAME-TIME."""
    agent: Annotated[str, _AGENT] = "double_dqn"
    """A name from `distrl list agents`, or `package.module:factory` of your own."""
    agent_args: Annotated[Args, _AGENT] = field(default_factory=dict)
    """Keyword arguments of your own agent; built-in agents take fields only."""
    environment: Annotated[str, _ENVIRONMENT] = "bsuite:catch/0"
    """As atari:Pong or package.module:factory, ?key=value; see `distrl list envs`."""
    environment_args: Annotated[Args, _ENVIRONMENT] = field(default_factory=dict)
    """Keyword arguments of the environment, in addition to those in its address."""
    network: Annotated[NetworkConfig, _NETWORK] = field(default_factory=NetworkConfig)
    actor: Annotated[ActorConfig, _ACTOR] = field(default_factory=ActorConfig)
    replay: Annotated[ReplayConfig, _REPLAY] = ReplayConfig()
    learner: Annotated[LearnerConfig, _LEARNER] = field(default_factory=LearnerConfig)
    variables: Changeable[VariablesConfig] = VariablesConfig()
    loss: Annotated[LossConfig, _LOSS] = LossConfig()
    evaluation: Changeable[EvaluationConfig] = EvaluationConfig()
    stop: Changeable[StopConfig] = StopConfig()
    checkpoint: Changeable[CheckpointConfig] = CheckpointConfig()
    launch: Changeable[LaunchConfig] = field(default_factory=LaunchConfig)
    sweep: Changeable[SweepConfig] = SweepConfig()

    @property
    def usual_staleness_seconds(self) -> float:
        """The largest normal age of parameters: one fetch period, two with relays."""
        return (2 if self.variables.relays else 1) * self.actor.fetch_seconds
