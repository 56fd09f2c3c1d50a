"""CapFace without a host: which keys its file holds, mask arithmetic, token rules, strength over the run."""
