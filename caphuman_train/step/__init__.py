"""One training step: what is drawn, what is computed, what is minimised. No optimizer, no files, no processes."""
