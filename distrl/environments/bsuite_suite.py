"""The experiments of bsuite (arXiv 1908.03568): `bsuite:NAME/INDEX`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distrl.environments.suite import Address, Suite, call_factory
from distrl.errors import ConfigError, suggest
from distrl.telemetry.csv_log import CsvLog

ENDED = "ended"
"""The column of a log with the time of an episode's end: the monotonic clock."""


def list_bsuite() -> dict[str, int]:
    """Returns each experiment's name and the number of its settings."""
    from bsuite import bsuite, sweep

    counts = dict.fromkeys(bsuite.EXPERIMENT_NAME_TO_ENVIRONMENT, 0)
    for bsuite_id in sweep.SWEEP:
        counts[bsuite_id.partition(sweep.SEPARATOR)[0]] += 1
    return counts


def list_bsuite_episodes() -> dict[str, int]:
    """Returns the number of episodes that bsuite scores, by id, in bsuite's order."""
    from bsuite import sweep

    return {bsuite_id: sweep.EPISODES[bsuite_id] for bsuite_id in sweep.SWEEP}


def select_bsuite_ids(text: str) -> list[str]:
    """Returns the ids that a text names, in bsuite's order, each once.

    Names are separated by commas or spaces: `all`; `testing`, the first id of each
    experiment without noise and scaling; a tag of bsuite, for example `memory`; an
    experiment, `catch`; some of its ids, `catch/3` or `catch/0-4`. Raises ConfigError
    for any other name, or none.
    """
    from bsuite import sweep

    ids = list(sweep.SWEEP)
    sets = {"all": ids, "testing": sweep.TESTING, **sweep.TAGS}
    for name in list_bsuite():
        sets[name] = [each for each in ids if each.startswith(f"{name}/")]
    selected: set[str] = set()
    for word in text.replace(",", " ").split():
        name, _, indices = word.partition("/")
        first, dash, last = indices.partition("-")
        span = [f"{name}/{first}", f"{name}/{last if dash else first}"]
        named = sets.get(word, [])
        if set(span) <= set(ids):
            named = ids[ids.index(span[0]) : ids.index(span[1]) + 1]
        if not named:
            raise ConfigError(
                f"sweep.ids: bsuite has no {word!r}.{suggest(word, [*sets, *ids])} "
                f"There are {', '.join(sets)}, and ids as catch/3 or catch/0-4."
            )
        selected.update(named)
    if not selected:
        raise ConfigError(
            f"sweep.ids = {text!r}: name what to run, for example testing, or "
            "catch/0-4, bandit"
        )
    return [each for each in ids if each in selected]


def load_bsuite(address: Address, seed: int) -> Any:
    """Builds an experiment with the settings of its sweep, which arguments replace.

    `seed` replaces what bsuite would draw at random; `mapping_seed`, which determines
    the problem itself, remains that of the sweep.
    """
    from bsuite import bsuite, sweep

    name = _check_id(address)
    load = bsuite.EXPERIMENT_NAME_TO_ENVIRONMENT[name]
    if name == "deep_sea_stochastic":
        load = _load_deep_sea_stochastic
    settings = {**sweep.SETTINGS[address.rest], **address.args}
    settings.pop("seed", None)
    try:
        return call_factory(load, settings, address, seed)
    except Exception as error:
        if not name.startswith("mnist") or isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"environment {address.uri!r} could not be built: {error!r}. bsuite "
            "downloads MNIST from the internet when it is not in /tmp/mnist, so build "
            "it once on a machine with a network (launch.isolate: false), or copy its "
            "four .gz files there; remove the files of an incomplete download."
        ) from error


def _check_id(address: Address) -> str:
    counts = list_bsuite()
    name, _, index = address.rest.partition("/")
    if name not in counts:
        raise ConfigError(
            f"environment {address.uri!r}: bsuite has no experiment {name!r}; it has "
            f"{', '.join(sorted(counts))}.{suggest(name, counts)}"
        )
    if address.rest not in list_bsuite_episodes():
        raise ConfigError(
            f"environment {address.uri!r}: {index!r} is not an index of the bsuite "
            f"experiment {name!r}; write bsuite:{name}/0 to "
            f"bsuite:{name}/{counts[name] - 1}."
        )
    return name


def _load_deep_sea_stochastic(size: int, mapping_seed: int = 0, seed: int = 0) -> Any:
    # bsuite's own load function takes no seed for the wind and the noise.
    from bsuite.environments.deep_sea import DeepSea

    return DeepSea(size=size, deterministic=False, seed=seed, mapping_seed=mapping_seed)


class _EpisodeLog:
    """A logger for bsuite that writes each row at once; the first creates the file."""

    def __init__(self, path: Path):
        self._path = path
        self._csv: CsvLog | None = None

    def write(self, data: Mapping[str, Any]) -> None:
        row = {ENDED: time.monotonic(), **data}
        if self._csv is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._csv = CsvLog(self._path, list(row))
        self._csv.write(row)


def log_episodes(environment: Any, path: Path) -> Any:
    """Returns an environment of bsuite that logs every episode to a new file.

    bsuite scores what its own wrapper and the environment count. The wrapper writes a
    row per episode, with the time at which it ended, so that logs can be merged. Raises
    RuntimeError if the file exists.
    """
    from bsuite.utils import wrappers

    if path.exists():
        raise RuntimeError(
            f"{path} holds the episodes of an earlier actor; a log of bsuite counts "
            "from the first episode of a run, so begin another run"
        )
    return wrappers.Logging(environment, _EpisodeLog(path), log_every=True)


def _list_entries() -> dict[str, str]:
    entries = {}
    for name, count in sorted(list_bsuite().items()):
        note = "; downloads MNIST" if name.startswith("mnist") else ""
        entries[f"bsuite:{name}/INDEX"] = f"{count} settings, 0 to {count - 1}{note}"
    return entries


SUITE = Suite(
    form="bsuite:NAME/INDEX",
    load=load_bsuite,
    list_entries=_list_entries,
    modules=("bsuite.bsuite", "bsuite.sweep"),
)
