"""The record that describes a suite of environments, and helpers of suites."""

import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from distrl.environments.batch import Batch, OneOfBatch
from distrl.errors import ConfigError, suggest

T = TypeVar("T")


class EnvironmentEntry(NamedTuple):
    """One line of `distrl list envs`; parts of `uri` in capitals are placeholders."""

    uri: str
    description: str


@dataclass(frozen=True)
class Address:
    """The parts of `scheme:rest?key=value`; `args` includes configured arguments."""

    uri: str
    scheme: str
    rest: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Suite:
    """A family of environments that share a scheme; has `load`, `load_batch` or both.

    Attributes:
      form: the pattern of its addresses, for example `atari:GAME`.
      load: builds a dm_env or Gymnasium environment from its address and a seed.
      load_batch: builds one environment per seed, all stepped in one call.
      list_entries: returns the entries of `distrl list envs`, if installed.
      modules: imported before processes are forked; the first shows if it is installed.
      requirement: the pip requirement, for example `ale-py>=0.12`.
    """

    form: str
    load: Callable[[Address, int], Any] | None = None
    load_batch: Callable[[Address, Sequence[int]], Batch] | None = None
    list_entries: Callable[[], list[EnvironmentEntry]] | None = None
    modules: tuple[str, ...] = ()
    requirement: str | None = None

    @property
    def scheme(self) -> str:
        """The part of its addresses before the colon."""
        return self.form.partition(":")[0]

    @property
    def install_command(self) -> str:
        """The command that installs the suite's requirement."""
        return f"pip install '{self.requirement}'"

    def is_installed(self) -> bool:
        """Returns whether the suite's package is installed, without importing it."""
        packages = [module.partition(".")[0] for module in self.modules[:1]]
        return all(map(importlib.util.find_spec, packages))

    def preload(self) -> None:
        """Imports the suite's modules, if installed.

        EnvPool imports the old `gym`, which prints a notice on stderr.
        """
        if self.is_installed():
            with contextlib.redirect_stderr(io.StringIO()):
                for module in self.modules:
                    importlib.import_module(module)

    def build(self, address: Address, seed: int) -> Any:
        """Builds one environment; raises ConfigError on failure."""
        if self.load is None:
            return OneOfBatch(self.build_batch(address, [seed]))
        self._prepare(address)
        return self.load(address, seed)

    def build_batch(self, address: Address, seeds: Sequence[int]) -> Batch:
        """Builds a batch; the suite must have `load_batch`."""
        assert self.load_batch is not None
        self._prepare(address)
        return self.load_batch(address, seeds)

    def _prepare(self, address: Address) -> None:
        if not self.is_installed():
            raise ConfigError(
                f"environment {address.uri!r} needs {self.requirement}, which is not "
                f"installed; install it with: {self.install_command}"
            )
        self.preload()


def call_factory(factory: Callable[..., T], args: Mapping[str, Any], uri: str) -> T:
    """Returns `factory(**args)`; turns every error into a ConfigError."""
    names, takes_others = read_parameters(factory)
    allowed = [name for name in names if name != "seed"]
    for key in args:
        if key not in names and not takes_others:
            raise ConfigError(
                f"environment {uri!r} has no argument {key!r}; it takes "
                f"{', '.join(allowed) or 'none'}.{suggest(key, allowed)}"
            )
    try:
        return factory(**args)
    except ConfigError:
        raise
    except Exception as error:
        given = ", ".join(f"{key}={value!r}" for key, value in args.items())
        raise ConfigError(
            f"environment {uri!r} could not be built with ({given}): "
            f"{type(error).__name__}: {error}"
        ) from error


def read_parameters(factory: Callable[..., Any]) -> tuple[list[str], bool]:
    """Returns the parameter names, and whether there is a `**` parameter."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # it has no signature
        return [], True
    names = [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    return names, len(names) < len(parameters)


def read_options(kind: type[T], address: Address, least: Mapping[str, int]) -> T:
    """Returns the address's arguments as the dataclass `kind`, checked.

    All fields of `kind` have defaults; floats are probabilities, and `least` holds the
    minimum of each integer.
    """
    options = call_factory(kind, address.args, address.uri)
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        is_float = isinstance(field.default, float)
        low, high = (0, 1) if is_float else (least.get(field.name), None)
        value = getattr(options, field.name)
        check_option(address.uri, field.name, value, field.default, low, high)
    return options


def check_option(
    uri: str,
    name: str,
    value: Any,
    default: Any,
    low: float | None = None,
    high: float | None = None,
) -> None:
    """Raises ConfigError unless `value` has the type of its default and is in range."""
    if isinstance(default, bool):
        fits, needed = isinstance(value, bool), "true or false"
    elif isinstance(default, (int, float)):
        is_whole = isinstance(default, int)
        fits = type(value) in ((int,) if is_whole else (int, float))
        fits = fits and (low is None or low <= value)
        fits = fits and (high is None or value <= high)
        needed = "an integer" if is_whole else "a number"
        needed += "" if low is None else f" from {low}"
        needed += "" if high is None else f" to {high}"
    else:
        fits = type(value) is type(default)
        needed = f"of the type of its default, {default!r}"
    if not fits:
        raise ConfigError(
            f"environment {uri!r}: {name} is {value!r}; it has to be {needed}."
        )
