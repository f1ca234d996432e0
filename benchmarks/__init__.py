"""Benchmarks: ratios measured side by side in one run; each module is run with ``python -m benchmarks.NAME``."""
