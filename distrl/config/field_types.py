"""Types of configuration fields: their ranges, and what a resume may change."""

import math
from dataclasses import dataclass
from typing import Annotated, TypeVar

# TensorFlow and Reverb count totals in 64 bits and sizes in 32.
_LARGEST = 2**63 - 1
_LARGEST_SIZE = 2**31 - 1
# 30 years; Python and Linux cannot wait much longer.
_LONGEST_SECONDS = 10**9

_T = TypeVar("_T")


@dataclass(frozen=True)
class Range:
    """The numbers that a field accepts; `above_low` excludes `low` itself."""

    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False

    def contains(self, number: float) -> bool:
        """Returns whether a number is finite and in the range."""
        if isinstance(number, float) and not math.isfinite(number):
            return False
        above = number > self.low if self.above_low else number >= self.low
        return above and number <= self.high

    def describe(self) -> str:
        """Returns the range in words, for example `0 to 1`; empty if unlimited."""
        low, high = f"{self.low}", f"{self.high}"
        if self.low == -math.inf and self.high == math.inf:
            return ""
        # Technical limits, of interest only to those who exceed them.
        if self.high >= _LONGEST_SECONDS:
            return f"above {low}" if self.above_low else f"at least {low}"
        return f"above {low}, up to {high}" if self.above_low else f"{low} to {high}"


@dataclass(frozen=True)
class Fixed:
    """Marks a field, or all fields of a section, that a resume may not change.

    Attributes:
      reason: for the error message; None exempts a field from its section's mark.
    """

    reason: str | None


Changeable = Annotated[_T, Fixed(None)]
Count = Annotated[int, Range(low=1, high=_LARGEST)]
CountOrZero = Annotated[int, Range(low=0, high=_LARGEST)]
Size = Annotated[int, Range(low=1, high=_LARGEST_SIZE)]
SizeOrZero = Annotated[int, Range(low=0, high=_LARGEST_SIZE)]
SizeFromTwo = Annotated[int, Range(low=2, high=_LARGEST_SIZE)]
Positive = Annotated[float, Range(low=0, above_low=True)]
NotNegative = Annotated[float, Range(low=0)]
NotPositive = Annotated[float, Range(high=0)]
Probability = Annotated[float, Range(low=0, high=1)]
Fraction = Annotated[float, Range(low=0, high=1, above_low=True)]
Seconds = Annotated[float, Range(low=0, high=_LONGEST_SECONDS, above_low=True)]
SecondsOrZero = Annotated[float, Range(low=0, high=_LONGEST_SECONDS)]
