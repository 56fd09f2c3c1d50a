"""Training CapFace: `python -m caphuman_train prepare | check | train | sample | export`.

Start reading at `data/record.py` (what is kept of a photo), `data/loader.py` (what a training step is given), `step/loss.py` (what
is minimised) and `train/loop.py` (how). Nothing here is imported by the pack.
"""
