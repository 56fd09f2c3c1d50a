"""The head model and its arithmetic: posing, landmarks on its surface, texture, FLAME's files."""
