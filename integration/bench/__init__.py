"""Measures metaopt, beside its peer where there is one, against the aims in docs/performance.md.

One file a figure or a family of them; none decides whether a build is good: a missed aim is printed, never a failure.
"""
