"""Reports: one HTML file that needs nothing else, and the same numbers as CSV and JSON.

    data.py    a run folder as columns of numbers   tables.py   means and intervals      compare.py  two runs, image by image
    plots.py   drawings (matplotlib, SVG)           grids.py    best and worst images    page.py     the HTML
    content.py settings and JSON                    write.py    all of it as files          sharing.py what may leave the machine
"""
