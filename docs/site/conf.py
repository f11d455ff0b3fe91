"""What Sphinx is told by `./dev docs`; tests/support/site_source.py makes what it reads."""

project = "nix2oci"
html_title = "nix2oci"
html_theme = "furo"
html_show_copyright = False
html_copy_source = False
html_favicon = "static/icon.svg"
html_use_index = False
html_static_path = ["static"]
html_css_files = ["site.css"]
pygments_style = "a11y-light"
pygments_dark_style = "github-dark"

extensions = ["myst_parser"]
# Pages are written for code hosts: what is text there is text here, with the same anchors.
myst_disable_syntax = [
    "myst_block_break",
    "myst_line_comment",
    "myst_role",
    "myst_target",
]
myst_heading_anchors = 6
smartquotes = False

# A block that is no complete program, such as one with "..." in it, is shown without colours.
suppress_warnings = ["misc.highlighting_failure"]
