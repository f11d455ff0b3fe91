"""What is printed on a terminal, as text: one file for each command or subject."""
