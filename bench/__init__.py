"""Benchmarks: training steps and single operations of tinyxp's backends and other libraries.

``tinyxp bench``, or ``python -m bench`` in a checkout.
"""
