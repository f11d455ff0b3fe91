"""Speaking HTTP: one request and its answer, and what may stand between us and a server."""
