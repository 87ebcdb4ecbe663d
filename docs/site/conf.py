"""Settings of Sphinx for the documentation site; `build.py` puts its sources together."""

import boxwright

project = "Boxwright"
author = "Boxwright contributors"
project_copyright = author
version = release = boxwright.__version__
root_doc = "README"

extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings are written as on the page of the repository
suppress_warnings = ["myst.header"]  # pages may leave out a level of headings

html_theme = "furo"
html_title = f"Boxwright {version}"
html_copy_source = False
html_show_sphinx = False
