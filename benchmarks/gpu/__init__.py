"""python dev.py gpu: everything that a graphics card can tell of this pack, in one run of a few minutes.

`parts` lists what is asked, in order; each part is a file with one list of rows, run in a process of its own (`child`), so that
nothing that goes wrong in one ends the others. `run` starts them, keeps the time, and has `report` write the tables.
"""
