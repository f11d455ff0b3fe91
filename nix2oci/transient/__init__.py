"""What must not outlive this process: files on their way, and children."""
