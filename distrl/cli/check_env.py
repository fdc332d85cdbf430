"""The command `distrl check-env URI`."""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from distrl.cli.answer import report_findings
from distrl.cli.arguments import Parser, number
from distrl.config.field_types import Count, CountOrZero
from distrl.config.load import read_text
from distrl.types import Finding

# A process that ends is blamed on the first of these rules without a finding.
_CHECKED = ["builds", "actions", "observation spec", "steps", "close", "seeding"]
_CHECKED += ["independence"]

_DESCRIPTION = """\
Builds the environment as a run does, takes random actions in it and prints one line
per rule: whether the environment keeps it, and if not, what to do. Exit codes: 0
nothing failed (there may be warnings), 1 a rule failed, 2 bad usage, or an environment
that cannot be built."""

_OTHER_FLAGS = """\
Any other --KEY VALUE is an argument of the environment, as in the field
environment_args; one with the name of a flag above goes into the URI: ?steps=5"""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code."""
    options, texts = _make_parser().parse_open(arguments)
    args = {k: read_text(f"environment_args.{k}", text) for k, text in texts.items()}
    findings = _check(options, args)
    return report_findings(findings, options.json, lambda rows, ok: rows)


def _make_parser() -> Parser:
    parser = Parser("check-env", _DESCRIPTION, "print the list of findings")
    parser.epilog = _OTHER_FLAGS
    parser.add_argument(
        "uri",
        metavar="URI",
        help="as in the field environment: gym:CartPole-v1, atari:Pong or "
        "package.module:factory, with ?key=value&key=value; see distrl list envs",
    )
    for flag, kind, default, text in (
        ("--steps", Count, 10_000, "the number of random actions"),
        ("--seed", CountOrZero, 1, "of the environment and of the actions"),
        ("--seconds", Count, 600, "the time limit for each rule"),
    ):
        help = f"{text} (default: {default:,})"
        read = number(kind)
        parser.add_argument(flag, metavar="N", type=read, default=default, help=help)
    return parser


def _check(options: argparse.Namespace, args: dict[str, Any]) -> Iterator[Finding]:
    from distrl.environments.conformance import check_environment
    from distrl.launch.checking_child import CheckLost, run_in_child

    def task(tell: Callable[[Finding], object]) -> None:
        found = check_environment(options.uri, args, options.steps, options.seed)
        for finding in found:
            tell(finding)

    seen = set()
    try:
        for finding in run_in_child(task, options.seconds, limit="--seconds"):
            seen.add(finding.name)
            yield finding
    except CheckLost as lost:
        rule = next((rule for rule in _CHECKED if rule not in seen), "process")
        advice = (
            "a node of a run would fail in the same way: return or raise instead; an "
            "environment that is only slow needs fewer --steps or more --seconds"
        )
        yield Finding(rule, "failed", f"the environment {lost}", advice)
