"""Changing a head: edits, expressions, light, transfer, sequences."""
