"""One file for each command: its arguments and options, and a function of their values."""
