"""Between: pure values in, pure values out. No input, no output, no clock, no randomness."""
