"""What `nix2oci --help` prints: the commands, each in a line. No library is loaded for that."""

from __future__ import annotations

COMMANDS = {
    "build": "Build flake outputs into one OCI image.",
    "resolve": "Push the images that YAML names; print it with references.",
    "plan": "Show what would be in which layer; write nothing.",
    "init": "Write a nix2oci.yaml to begin with, beside the flake.",
    "popularity": "Count what images share, so that they can share layers.",
    "push": "Push an image to a registry.",
    "pull": "Pull an image from a registry into a file.",
    "sbom": "Say what is in an image, in a format for scanners.",
    "attach": "Attach documents to an image that is in a registry.",
    "sign": "Sign an image that is in a registry, by a key.",
    "verify": "Verify who signed an image, and what its documents say.",
    "inspect": "Show the layers, store paths and configuration of an image.",
    "ls": "List files of an image, as `ls -l` does.",
    "cat": "Print a file of an image.",
    "export": "Write all files of an image into one tar.",
    "diff": "Show what changed between two images, and what that costs.",
    "why": "Show what keeps a store path in an image, and its weight.",
    "validate": "Check everything that can be wrong with an image.",
    "index": "Join images for several platforms into one.",
    "wrapper": "Explain a wrapper script; write the launcher that does the same.",
    "cache": "Show what builds keep for the next one; prune or clear it.",
    "completion": "Print the completion script for a shell.",
    "help": "Show the help of a command.",
}
"""Every command, and what it does in one line."""

_LINES = "\n".join(f"  {name:<11} {line}" for name, line in COMMANDS.items())

HELP = f"""\
Usage: nix2oci [OPTIONS] COMMAND [ARGS]...

  One command from a flake output to an OCI image.

Options:
  -V, --version  Show the version and exit.
  -h, --help     Show this message and exit.

Commands:
{_LINES}

  'nix2oci help COMMAND' says more.
  In a directory with a flake, begin with: nix2oci build"""
