"""python -m tools.demo REQUEST.json: the graph of workflows/portrait_from_photo.json on one photo, in a running server.

dev.py writes the request (address, photo, model files, where to put the pictures) and starts this in the private environment.
"""
import sys

from .run import main

if __name__ == "__main__":
    sys.exit(main())
