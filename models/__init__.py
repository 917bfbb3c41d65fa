"""The milestones: one story per file."""

if __name__ != "tinyxp.models":
    raise ImportError(
        f"this package is tinyxp.models, not {__name__!r}: install tinyxp (pip install -e .) "
        "and write `import tinyxp`"
    )
