"""Random wrappers, run under the real bash and as launchers."""
