"""Measures what early stopping saves, beside peers on the same curves, seeds and budgets (docs/performance.md)."""
