"""The workflow templates and subgraph blueprints, written as Python and turned into the frontend's files by build.py.

node.py and graph.py: nodes and links; layout.py: sizes and places; stages.py: parts that many graphs share; templates/ and
blueprints/: one module for each file, whose `build` describes it.
"""
