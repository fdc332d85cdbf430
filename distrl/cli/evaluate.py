"""The command `distrl evaluate RUN_DIR`."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from distrl.cli.answer import print_error, reserve_stdout
from distrl.cli.arguments import Parser, number
from distrl.config import Config, load_run
from distrl.config.field_types import Count, CountOrZero, Probability
from distrl.config.load import read_path
from distrl.errors import ConfigError, EnvironmentFault

_DESCRIPTION = """\
Plays whole episodes with what the run in RUN_DIR has learned, as its own evaluator
does, and prints the mean return with a 95 % confidence interval (Student's t). Progress
is printed on stderr. The run may still be training; nothing is written into its
directory. Exit codes: 0 done, 1 the environment failed, 2 bad usage, no run, or no
saved parameters that can be read, 130 stopped by Ctrl-C, without a result."""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code."""
    options = vars(_make_parser().parse(arguments))
    run_dir, as_json = options.pop("run_dir"), options.pop("json")
    if options["video"] is not None:
        options["video"] = str(read_path("--video", options["video"]))
    config = load_run(run_dir)
    # Like the run's own evaluator: a learner may be using the accelerator.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with reserve_stdout() as write:
        _check_environment(config)
        from distrl.evaluation.run_evaluation import evaluate_run

        try:
            answer = evaluate_run(config, note=print_error, **options)
        except EnvironmentFault as fault:
            print_error(f"distrl: error: {fault}")
            return 1
        write(json.dumps(answer, indent=2) if as_json else format_answer(answer))
    return 0


def format_answer(answer: Mapping[str, Any]) -> str:
    """Formats what `evaluate_run` returns."""
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


def _make_parser() -> Parser:
    json_help = "print one object on stdout, and all else on stderr"
    parser = Parser("evaluate", _DESCRIPTION, json_help)
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the directory of a run")
    parser.add_argument(
        "--checkpoint",
        dest="which",
        choices=("best", "latest"),
        help="best: of the best evaluation; latest: the newest checkpoint (default: "
        "best if there is one, otherwise latest)",
    )
    ours = "default: the run's evaluation"
    for flag, kind, text in (
        ("--episodes", Count, f"how many to play ({ours}.episodes)"),
        ("--epsilon", Probability, f"probability of a random action ({ours}.epsilon)"),
        (
            "--max_episode_steps",
            Count,
            f"where to cut one off ({ours}.max_episode_steps)",
        ),
        (
            "--seed",
            CountOrZero,
            "of environments and actions (default: from the run's)",
        ),
    ):
        parser.add_argument(flag, metavar="N", type=number(kind), help=text)
    parser.add_argument(
        "--video",
        metavar="FILE",
        help="write a video of one more episode, .gif or .mp4, if the environment "
        "renders (a .gif shows its first 1,000 steps)",
    )
    return parser


def _check_environment(config: Config) -> None:
    """Builds the environment in a child first, as its constructor may exit or hang."""
    from distrl.environments import read_spec
    from distrl.launch.checking_child import CheckLost, run_in_child

    def build(tell: Callable[[object], object]) -> None:
        read_spec(config.environment, config.environment_args)

    try:
        list(run_in_child(build, config.launch.check_seconds))
    except CheckLost as lost:
        raise ConfigError(f"{config.environment}: the check {lost}") from None
