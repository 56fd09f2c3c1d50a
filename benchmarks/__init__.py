"""Measurements: `python dev.py benchmark NAME`. What they gave last stands in RESULTS.md."""
