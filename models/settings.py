"""The settings of a model, the fields of its dataclass ``Config``: parsed, listed, checked."""

import argparse
import dataclasses
import math
import typing
from typing import Any

from tinyxp.errors import ArgumentError

FROM_ZERO = ("seed", "warmup_steps", "sample_tokens")  # integers that may be 0
ABOVE_ZERO = ("learning_rate", "grad_clip")
FRACTIONS = ("dropout", "min_lr_ratio")  # from 0 to 1
BELOW_ONE = ("beta2",)  # an optimizer divides by 1 - beta2
PRECISIONS = (None, "bfloat16", "float16")


class Settings:
    """The base of a model's ``Config``. Raises ArgumentError for a setting that no training can
    use: sizes and counts are at least 1, rates above 0, fractions from 0 to 1, precisions known.

    >>> from tinyxp.models.xor import Config
    >>> Config(hidden=0)
    Traceback (most recent call last):
    tinyxp.errors.ArgumentError: hidden must be at least 1, got 0
    """

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "precision" and value not in PRECISIONS:
                raise ArgumentError(f"precision must be bfloat16 or float16, got {value!r}")
            if value is None or isinstance(value, (bool, str)):
                continue
            if isinstance(value, int):
                least = 0 if name in FROM_ZERO else 1
                fits, wanted = value >= least, f"at least {least}"
            elif name in ABOVE_ZERO:
                fits, wanted = 0 < value < math.inf, "above 0 and finite"
            elif name in BELOW_ONE:
                fits, wanted = 0 <= value < 1, "from 0 up to, but not, 1"
            elif name in FRACTIONS:
                fits, wanted = 0 <= value <= 1, "from 0 to 1"
            else:
                fits, wanted = 0 <= value < math.inf, "0 or more and finite"
            if not fits:
                raise ArgumentError(f"{name} must be {wanted}, got {value}")


def add_set_option(command: argparse.ArgumentParser) -> None:
    """Add ``--set NAME=VALUE`` to a command."""
    text = "any setting, as --set n_layer=6; may be repeated"
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=text)


def parse(kind: type[Any], settings: list[str]) -> dict[str, Any]:
    """Convert ``["n_layer=6"]`` to values for the dataclass ``kind``. Raises ArgumentError for an
    unknown name, a name given twice, or a value of the wrong type."""
    types = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in types:
            raise ArgumentError(
                f"unknown setting {setting!r}; --set takes {', '.join(types)}, as n=1"
            )
        if name in found:
            raise ArgumentError(f"--set {name} is given twice; give it once")
        options = [kind for kind in typing.get_args(types[name]) if kind is not type(None)]
        wanted = options[0] if options else types[name]  # int, of int | None
        try:
            if wanted is bool:
                found[name] = {"true": True, "1": True, "false": False, "0": False}[value.lower()]
            else:
                found[name] = wanted(value)
        except (KeyError, ValueError):
            raise ArgumentError(f"{name} expects {wanted.__name__}, got {value!r}") from None
    return found


def defaults(kind: type[Any]) -> str:
    """The settings of a dataclass with their defaults, for a help text.

    >>> from tinyxp.models.settings import defaults
    >>> from tinyxp.models.xor import Config
    >>> defaults(Config)
    'hidden=8, points=200, steps=400, learning_rate=0.05, seed=0'
    """
    return ", ".join(f"{f.name}={f.default}" for f in dataclasses.fields(kind))
