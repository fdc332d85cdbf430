"""`distrl evaluate RUN_DIR`: plays episodes of what a run has learned."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from distrl.children import adopt_orphans
from distrl.cli.answer import print_answer, print_error, reserve_stdout
from distrl.cli.arguments import read_count, read_values
from distrl.config import Config, load_run
from distrl.config.paths import read_path
from distrl.errors import ConfigError, EnvironmentFault, suggest

_HELP = """\
usage: distrl evaluate RUN_DIR [--episodes N] [--checkpoint best|latest] [--epsilon X]
                       [--seed N] [--max_episode_steps N] [--video FILE] [--json]

Plays whole episodes of what the run in RUN_DIR has learned, as its own evaluator does,
and prints the mean return with a 95 % confidence interval (Student's t). Progress is
printed on stderr. The run may still be training; nothing is written into its
directory. Exit codes: 0 done, 1 the environment failed, 2 bad usage, no run, or
nothing saved that can be read, 130 stopped by Ctrl-C, without a result.

flags:
  --episodes N     the episodes (default: the run's evaluation.episodes)
  --checkpoint W   best: of the best evaluation; latest: the newest checkpoint
                   (default: best if there is one, or else latest)
  --epsilon X      the probability of a random action (default: the run's
                   evaluation.epsilon)
  --seed N         of environments and actions (default: one derived from the run's,
                   for other episodes than those that the run itself played)
  --max_episode_steps N
                   cut off an episode after so many steps and count its return so far
                   (default: the run's evaluation.max_episode_steps)
  --video FILE     write a video of one more episode, .gif or .mp4, where the
                   environment renders; a .gif shows its first 1,000 steps
  --json           print one object on stdout, and all else on stderr
  --help           this text"""

_FLAGS = ("episodes", "checkpoint", "epsilon", "seed", "max_episode_steps", "video")
_CHECKPOINTS = ("best", "latest")


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code.

    Raises:
      ConfigError: bad usage, no run, or nothing saved that can be read.
    """
    if not {"-h", "--help"}.isdisjoint(arguments):
        print_answer(_HELP)
        return 0
    positional, values, switches = read_values(
        arguments, ("--json",), "evaluate", _FLAGS
    )
    if len(positional) != 1:
        given = ", ".join(positional) or "nothing"
        raise ConfigError(
            f"evaluate takes the directory of one run and got {given}; for example: "
            "distrl evaluate runs/catch-20260131-120000 --episodes 200"
        )
    options = _read_options(values)
    try:
        if "--json" in switches:
            with reserve_stdout() as write:
                answer = _evaluate(positional[0], options)
                write(json.dumps(answer, indent=2) + "\n")
        else:
            print_answer(format_answer(_evaluate(positional[0], options)))
    except EnvironmentFault as fault:
        print_error(f"distrl: error: {fault}")
        return 1
    return 0


def format_answer(answer: Mapping[str, Any]) -> str:
    """Returns what was played and how it went, as lines of text.

    Args:
      answer: what `evaluate_run` returns.
    """
    interval = "no confidence interval (one episode)"
    if answer["interval"] is not None:
        low, high = answer["interval"]
        interval = (
            f"{100 * answer['confidence']:g} % confidence interval {low:.4g} to "
            f"{high:.4g} ({answer['interval_method']})"
        )
    lines = [
        f"{answer['checkpoint']} checkpoint of learner step "
        f"{answer['learner_steps']:,} ({os.path.relpath(answer['checkpoint_path'])})",
        f"{answer['episodes']:,} episodes of {answer['environment']}, epsilon "
        f"{answer['epsilon']:g}, seed {answer['seed']}, {answer['seconds']:.1f} s",
        f"return  mean {answer['mean_return']:.4g}, {interval}",
        f"        standard deviation {answer['std_return']:.4g}, min "
        f"{answer['min_return']:.4g}, max {answer['max_return']:.4g}",
        f"length  mean {answer['mean_length']:.4g}, min {answer['min_length']:,}, max "
        f"{answer['max_length']:,}",
    ]
    if answer["truncated_episodes"]:
        lines.append(
            f"        {answer['truncated_episodes']:,} truncated at "
            f"{answer['max_episode_steps']:,} steps, counted with their return so far"
        )
    if answer["video"] is not None:
        video = answer["video"]
        lines.append(
            f"video   {video['file']}: an episode of return "
            f"{video['episode_return']:.4g}, {video['length']:,} steps"
            f"{', truncated' if video['truncated'] else ''}"
        )
    return "\n".join(lines)


def _read_options(values: Mapping[str, str]) -> dict[str, Any]:
    """Returns the arguments of `evaluate_run` in the texts of the flags."""
    options: dict[str, Any] = {}
    for flag in ("episodes", "max_episode_steps"):
        if flag in values:
            options[flag] = read_count(flag, values[flag], least=1)
    if "seed" in values:
        options["seed"] = read_count("seed", values["seed"], least=0)
    if "epsilon" in values:
        options["epsilon"] = _read_probability("epsilon", values["epsilon"])
    if "checkpoint" in values:
        which = values["checkpoint"]
        if which not in _CHECKPOINTS:
            raise ConfigError(
                f"--checkpoint = {which!r}: it must be {' or '.join(_CHECKPOINTS)}."
                f"{suggest(which, _CHECKPOINTS)}"
            )
        options["which"] = which
    if "video" in values:
        options["video"] = str(read_path("--video", values["video"]))
    return options


def _read_probability(key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ConfigError(f"--{key} = {text!r}: it must be a number from 0 to 1")
    return number


def _evaluate(run_dir: str, options: Mapping[str, Any]) -> dict[str, Any]:
    config = load_run(run_dir)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # As the run's own evaluator, beside a learner that may have the accelerator.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    _check_environment(config)
    from distrl.evaluation import evaluate_run

    return evaluate_run(config, note=print_error, **options)


def _check_environment(config: Config) -> None:
    """Builds the environment in a child first, as its constructor may exit or hang.

    Raises:
      ConfigError: it cannot be built.
    """
    from distrl.environments import read_spec
    from distrl.launch.checking_child import CheckLost, run_in_child

    def build(tell: Callable[[object], object]) -> None:
        read_spec(config.environment, config.environment_args)

    adopt_orphans()
    try:
        list(run_in_child(build, config.launch.check_seconds))
    except CheckLost as lost:
        raise ConfigError(f"{config.environment}: the check {lost}") from None
    finally:
        adopt_orphans(False)
