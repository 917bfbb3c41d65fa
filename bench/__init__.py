"""Benchmarks: training steps and single operations, tinyxp's backends beside other libraries.

``tinyxp bench``, or ``python -m bench`` in a checkout.
"""
