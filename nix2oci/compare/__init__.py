"""What differs between two images, and why a store path is in one."""
