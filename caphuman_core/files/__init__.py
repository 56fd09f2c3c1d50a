"""Model files: reading them safely, recognising them, where they belong, and what is missing."""
