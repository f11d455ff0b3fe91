"""What people see: results on stdout, progress and errors on stderr."""
