"""What a plan and a build were, as JSON and as a page."""
