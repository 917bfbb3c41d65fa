"""Benchmarks: ratios between contenders stepped in turn in one run, never absolute promises."""
