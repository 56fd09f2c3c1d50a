"""HumanIPHC, the paper's benchmark as a tool: `python -m caphuman_bench plan | run | score | report`.

Start reading at `plan.py` (what is asked) and `store.py` (what has been done). Nothing here is imported by the pack.
"""
