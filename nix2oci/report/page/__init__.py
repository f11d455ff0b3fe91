"""The document of a plan as one page of HTML. Pure."""
