"""``tinyxp summary``: a table of a model's modules, output shapes and parameters."""

import argparse
from typing import Any

import tinyxp as tx
from tinyxp.commands import targets
from tinyxp.errors import ArgumentError

HELP = "a table of a model's modules and parameters"
EXAMPLES = (
    "tinyxp summary cnn --set channels=8",
    "tinyxp summary mine.py:Net --input 8,1,28,28",
    "tinyxp summary mine.py     # if the file has one model",
)
KNOWN = ("perceptron", "xor", "mlp", "cnn", "transformer", "gpt2")


def arguments(command: argparse.ArgumentParser) -> None:
    from tinyxp.models.settings import add_set_option

    add = command.add_argument
    yours = "or yours: FILE.py:NAME, FILE.py or MODULE:NAME"
    add("model", metavar="MODEL", help=f"{', '.join(KNOWN)}; {yours}")
    add_set_option(command)
    sizes = "shape of an input of your model, as 8,1,28,28"
    add("--input", action="append", default=[], type=shape, metavar="SHAPE", help=sizes)
    add("--integers", action="store_true", help="inputs are integers (indices)")


def shape(text: str) -> tuple[int, ...]:
    """Convert ``"8,1,28,28"`` to a shape."""
    return tuple(int(n) for n in text.split(",") if n.strip())


def run(args: argparse.Namespace) -> None:
    print(tx.nn.summary(*model_and_inputs(args)))


def model_and_inputs(args: argparse.Namespace) -> tuple[Any, ...]:
    """The model that the user names, and its inputs if they are known."""
    from tinyxp.models import story
    from tinyxp.models.settings import parse

    if args.integers and not args.input:
        raise ArgumentError("--integers says what --input holds; give the shape of an --input too")
    if args.model in KNOWN:
        if args.input:
            raise ArgumentError(f"--input is for a model of yours; {args.model} knows its own")
        module = story(args.model)
        known: tuple[Any, ...] = module.example(module.Config(**parse(module.Config, args.set)))
        return known
    if args.set:
        raise ArgumentError(f"--set is for the models {', '.join(KNOWN)}, not for {args.model!r}")
    if not args.model.endswith(".py") and ":" not in args.model:
        raise ArgumentError(
            f"expected a model {', '.join(KNOWN)}, or yours as FILE.py:NAME or MODULE:NAME, got "
            f"{args.model!r}"
        )
    kinds = (targets.is_model, targets.makes_a_model, targets.is_function)
    model = targets.resolve(args.model, kinds, "model, nor a function that makes one")
    if not isinstance(model, tx.nn.Module):
        model = targets.call(model, args.model)
    dtype = tx.int64 if args.integers else tx.float32
    return model, *(tx.zeros(shape, dtype=dtype) for shape in args.input)
