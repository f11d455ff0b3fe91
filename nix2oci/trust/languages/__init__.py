"""Packages of languages, as files say what they are."""
