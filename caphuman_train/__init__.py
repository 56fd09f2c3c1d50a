"""Training CapFace: `python -m caphuman_train prepare | check | train | sample | export`.

Start reading at `step/loss.py` (what is minimised) and `train/loop.py` (how). Nothing here is imported by the pack.
"""
