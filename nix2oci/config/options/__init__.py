"""Groups of flags, each one typed value that a command's function takes.

These modules load click and nothing heavier: the help of a command needs them all.
"""
