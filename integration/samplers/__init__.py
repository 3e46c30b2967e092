"""Measures what metaopt's samplers find, beside their peers on the same problems, seeds and budgets (docs/performance.md).

One file a family of figures; none decides whether a build is good: a missed aim is printed, never a failure.
"""
