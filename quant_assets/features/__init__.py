"""What is known about a name at the close of a session: one file a family, names in `catalog.py`, evaluation in `compute.py`.

Statistics across names (ranks, breadth) need every ticker at once and live on another grid; labels live in `labels/`.
"""
