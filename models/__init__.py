"""The milestones of neural networks, one story per file, and GPT-2."""

if __name__ != "tinyxp.models":
    raise ImportError(
        f"this package is tinyxp.models, not {__name__!r}: install tinyxp (pip install -e .) "
        "and write `import tinyxp`"
    )

import importlib
from typing import Any

MILESTONES = ("perceptron", "xor", "mlp", "cnn", "transformer")
STORIES = (*MILESTONES, "finetune")  # these can be trained
LANGUAGE_MODELS = ("transformer", "gpt2", "finetune")


def story(name: str) -> Any:
    """The module of a model."""
    return importlib.import_module(f"{__name__}.{name}")
