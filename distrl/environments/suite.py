"""The record that describes a suite of environments, and helpers of suites."""

import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from distrl.config.factories import check_keywords
from distrl.environments.batch import Batch, OneOfBatch
from distrl.errors import ConfigError

T = TypeVar("T")

_KINDS = {bool: "true or false", int: "an integer", float: "a number"}


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
      list_entries: returns the lines of `distrl list envs`, a description for each
        address; parts of addresses in capitals are placeholders.
      modules: imported before processes are forked.
      requirement: the pip requirement, for example `ale-py>=0.12`.
    """

    form: str
    load: Callable[[Address, int], Any] | None = None
    load_batch: Callable[[Address, Sequence[int]], Batch] | None = None
    list_entries: Callable[[], dict[str, str]] = dict
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
        packages = [module.partition(".")[0] for module in self.modules]
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
        return self._build(self.load, address, seed)

    def build_batch(self, address: Address, seeds: Sequence[int]) -> Batch:
        """Builds a batch by `load_batch`; raises ConfigError on failure."""
        assert self.load_batch is not None
        return self._build(self.load_batch, address, seeds)

    def _build(
        self, load: Callable[[Address, Any], T], address: Address, seed: Any
    ) -> T:
        if not self.is_installed():
            raise ConfigError(
                f"environment {address.uri!r} needs {self.requirement}, which is not "
                f"installed; install it with: {self.install_command}"
            )
        self.preload()
        try:
            return load(address, seed)
        except ConfigError:
            raise
        except Exception as error:
            given = ", ".join(f"{key}={x!r}" for key, x in address.args.items())
            raise ConfigError(
                f"environment {address.uri!r} could not be built with ({given}): "
                f"{type(error).__name__}: {error}"
            ) from error


def call_factory(
    factory: Callable[..., T], args: Mapping[str, Any], address: Address, seed: int
) -> T:
    """Returns `factory(**args)`, with `seed` if it has such a parameter.

    Raises ConfigError, naming the address, for arguments that it does not take.
    """
    with contextlib.suppress(ValueError):  # Some built-in callables have no signature.
        if "seed" in inspect.signature(factory).parameters:
            args = {**args, "seed": seed}
    check_keywords(f"environment {address.uri!r}", factory, args, positional=0)
    return factory(**args)


def read_options(kind: type[T], address: Address, least: Mapping[str, int]) -> T:
    """Returns the address's arguments as the dataclass `kind`, checked.

    All fields of `kind` have defaults; floats are probabilities, and `least` holds the
    minimum of each integer.
    """
    check_keywords(f"environment {address.uri!r}", kind, address.args, positional=0)
    options = kind(**address.args)
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
    kind = type(default)
    fits = type(value) in ((int, float) if kind is float else (kind,))
    if fits and (low is None or low <= value) and (high is None or value <= high):
        return
    needed = _KINDS.get(kind, f"of the type of its default, {default!r}")
    needed += "" if low is None else f" from {low}"
    needed += "" if high is None else f" to {high}"
    raise ConfigError(
        f"environment {uri!r}: {name} is {value!r}; it has to be {needed}."
    )
