"""From photos to shards: `survey` (which photos, which of them twice), `stages` (one photo to one record), `run` (all of them).

The shards follow from the photos and the settings alone: not from the number of workers, not from how often it was stopped.
"""
