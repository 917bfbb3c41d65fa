"""The checkers of the course in docs/lessons: they test a student's code and say what is wrong."""

from tinyxp.lessons.checking import LESSONS, LIMIT, Verdict, check

__all__ = ["LESSONS", "LIMIT", "Verdict", "check"]
