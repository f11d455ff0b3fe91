"""The root of an image laid over the files of a base image. Pure."""
