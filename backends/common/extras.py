"""The libraries that tinyxp can use, and the command that installs each.

The command names the library itself, so that it is right however tinyxp was installed. A test
compares the table with pyproject.toml.
"""

LIBRARIES = {
    "torch": "torch",
    "fast": "numba",
    "cuda12": "cupy-cuda12x[ctk]",
    "cuda13": "cupy-cuda13x[ctk]",
    "bfloat16": "ml_dtypes",
    "text": "tokenizers",
    "plot": "matplotlib",
    "tensorboard": "tensorboardX",
    "test": "array-api-strict",
}
CPU = "https://pytorch.org/get-started"


def install(extra: str) -> str:
    """The command that installs the library of an extra of tinyxp.

    >>> from tinyxp.backends.common.extras import install
    >>> install("fast"), install("cuda13")
    ('pip install numba', "pip install 'cupy-cuda13x[ctk]'")
    """
    library = LIBRARIES[extra]
    return f"pip install '{library}'" if "[" in library else f"pip install {library}"


def advice(*extras: str) -> str:
    """What to install, in words: the library of one of several extras."""
    said = " or ".join(map(install, extras))
    if extras == ("torch",):
        said += f" (on Linux with gigabytes of CUDA; for CPUs alone choose 'CPU' at {CPU})"
    return said
