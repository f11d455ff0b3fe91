"""What the machine lends to a run: files to read, scratch directories, children."""
