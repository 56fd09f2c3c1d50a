"""The miniature judged by numbers: people, heads and captions that training never saw, `caphuman_bench`'s ordinary commands on them
through a running ComfyUI, and judges that training never used.

    world.py    who and what is asked, and the picture that a perfect generator would make of it
    graphs.py   the graphs: the bench's own, and what is changed in it       runs.py     which run has which lists
    eye.py      one picture -> what a judge of faces reads in it            colours.py  regions and their colours
    figures.py  what a run's pictures say, as numbers                       report.py   docs/MINIATURE.md and its pictures
"""
