"""``tinyxp generate``: continue a text with a trained language model."""

import argparse

from tinyxp.errors import ArgumentError, DataError
from tinyxp.train.run import Run

HELP = "continue a text with a trained model"
EXAMPLES = (
    "tinyxp generate runs/quick --prompt 'ROMEO:' --tokens 200",
    "tinyxp generate runs/quick --temperature 0     # the likeliest symbol each time",
)


def arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("run", metavar="RUN", help="a run's folder, or a GPT-2 checkpoint's")
    add("--prompt", default="\n", help="the text to continue (default: an empty line)")
    add("--tokens", type=int, default=500, help="how many symbols (default: 500)")
    add("--temperature", type=float, default=0.8, help="0 takes the likeliest (default: 0.8)")
    add("--top-k", type=int, help="draw from the k likeliest only (default: all)")
    add("--top-p", type=float, help="draw from the likeliest that add up to p (default: 1)")
    add("--seed", type=int, help="seed of the draws (default: another each time)")


def run(args: argparse.Namespace) -> None:
    from tinyxp.models import LANGUAGE_MODELS, story
    from tinyxp.nn.generation import write

    if args.tokens < 0:
        raise ArgumentError(f"--tokens must be 0 or more, got {args.tokens}")
    config = Run(args.run).config()
    name = config.get("model") or config.get("model_type")
    if name not in LANGUAGE_MODELS:
        raise DataError(f"expected one of the models {', '.join(LANGUAGE_MODELS)}, got {name!r}")
    model, tokenizer = story(name).load(args.run)
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    options["heading"] = f"{args.run} continues {args.prompt!r} with {args.tokens} symbols:"
    write(model, tokenizer, args.prompt, args.tokens, seed=args.seed, **options)
