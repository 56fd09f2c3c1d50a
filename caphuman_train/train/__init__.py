"""A training run: settings, the loop, what it writes. `loop.py` reads from top to bottom."""
