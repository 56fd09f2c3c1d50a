"""Scoring: what was made is measured by judges that were not asked to make it.

    run.py       which images lack which scores; batches; what is kept
    faces.py     the face of a picture             identity.py  who it is
    prompts.py   does it show what the prompt says control.py   is the head as it was asked for
    stats.py     means and intervals               metrics.py   what each number means
"""
