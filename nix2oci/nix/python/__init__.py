"""What a program in Python reaches of its modules, and whether any of that calls a shell."""
