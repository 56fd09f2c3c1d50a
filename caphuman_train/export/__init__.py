"""A CapFace file that the pack loads, made of a checkpoint, and its model card."""
