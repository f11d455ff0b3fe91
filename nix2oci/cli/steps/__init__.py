"""What more than one command does with the values of its options."""
