"""What `build` made, in a few lines."""

from __future__ import annotations

from nix2oci import text
from nix2oci.cli.render import console
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.options.output import OutputOptions
from nix2oci.pipeline.build import WrittenImage
from nix2oci.pipeline.debug_twin import Twin
from nix2oci.pipeline.platforms import Published
from nix2oci.report import shell_text
from nix2oci.report.terminal import base_image, left_out


def say_published(
    made: Published, spec: ImageSpec, name: str, twin: str | None, output: OutputOptions
) -> None:
    """What was made; `name` and `twin` are what the image and its debug twin are called there."""
    if output.quiet:
        return
    step = console.progress(output).step
    several = len(made.platforms) > 1
    for image in made.images:
        _say_details(image, spec, output)
        step(_total(image, name, several=several))
        if image.twin:
            step(_twin(image.twin, twin))
    if several:
        platforms = ", ".join(map(str, made.platforms))
        step(f"{name} is for {platforms}; digest {made.main.descriptor.digest}")


def _say_details(built: WrittenImage, spec: ImageSpec, output: OutputOptions) -> None:
    """What became of wrappers and the base; with -v all of it."""
    step, verbose = console.progress(output).step, bool(output.verbose)
    for line in left_out.lines(built.prepared.survey, every=verbose):
        step(line)
    for line in shell_text.details(built.prepared.shells, every=True) if verbose else ():
        console.line(line)
    shells = built.prepared.shells
    notes = shell_text.staying(shells) if verbose else []
    warnings = shell_text.warnings(shells, with_sh=spec.view.sh)
    for line in (*shell_text.done(shells), *notes, *warnings):
        step(line)
    if built.prepared.on_base:
        for line in base_image.details(built.prepared.on_base, every=verbose):
            step(line)
        if verbose:
            console.lines(base_image.inherited_table(built.inherited))
    if verbose:
        files = f"{text.count(built.read.files, 'file')}, {text.size(built.read.bytes)}"
        step(f"read {files} of the store to write layers")


def _total(built: WrittenImage, name: str, *, several: bool) -> str:
    size = text.size(sum(layer.size for layer in built.image.layers))
    platform = f" for {built.image.descriptor.platform}" if several else ""
    return (
        f"{name}{platform} is {len(built.image.layers)} layers, {size}, "
        f"of {text.count(len(built.prepared.closure), 'store path')}; "
        f"digest {built.image.descriptor.digest}"
    )


def _twin(twin: Twin, reference: str | None) -> str:
    added = f"{text.size(twin.layer.size)} of tools from {twin.tools.title}"
    return f"debug twin: {reference or twin.name}, {added}"
