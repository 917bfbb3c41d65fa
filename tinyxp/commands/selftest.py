"""``tinyxp selftest``: test on this machine that no fault loses data."""

import argparse

HELP = "prove that nothing is lost, on this machine"
EXAMPLES = ("tinyxp selftest", "tinyxp selftest kill fuzz --tries 5")


def arguments(command: argparse.ArgumentParser) -> None:
    from tinyxp.selftest import CHECKS

    names = ", ".join(CHECKS)
    command.add_argument(
        "check", nargs="*", metavar="CHECK", help=f"{names}, or all (default: all)"
    )
    usual = ", ".join(f"{tries} of {name}" for name, tries in CHECKS.items())
    command.add_argument("--tries", type=int, help=f"how often (default: {usual})")


def run(args: argparse.Namespace) -> int:
    from tinyxp import selftest

    outcomes = selftest.run(args.check, args.tries)
    print(selftest.table(outcomes))
    return 1 if any(outcome.failures for outcome in outcomes) else 0
