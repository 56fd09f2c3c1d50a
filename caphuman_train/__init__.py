"""Training CapFace: `python -m caphuman_train prepare | check | train | sample | export`.

Start reading at `data/record.py` (what is kept of a photo) and `data/loader.py` (what a training step is given). Nothing here is
imported by the pack.
"""
