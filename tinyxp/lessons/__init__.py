"""The checkers of the course in docs/lessons: they test a student's code and explain mistakes."""

from tinyxp.lessons.verdict import LESSONS, LIMIT, Verdict, check

__all__ = ["LESSONS", "LIMIT", "Verdict", "check"]
