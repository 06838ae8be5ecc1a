"""Settings of the documentation; figures and tables are generated from code before each build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _generate import benchmarks, drawings, figures, markup, reference, support
from _generate.sources import digest

import fenchel

project = "fenchel"
author = "The fenchel authors"
copyright = "2026, The fenchel authors"
release = version = fenchel.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 2
exclude_patterns = ["_build", "_generated"]
numpydoc_show_class_members = False
autodoc_typehints = "none"
autosummary_ignore_module_all = False
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"fenchel {release}"
html_copy_source = False


def generate(app, config):
    """Write what the pages include: figures, the two tables, the lists of names."""
    source = Path(app.srcdir)
    folder = source / "_generated"
    folder.mkdir(exist_ok=True)
    drawn, now = folder / "sources.txt", digest()
    if not drawn.exists() or drawn.read_text() != now:  # figures take a minute or two
        figures.write(folder)
        drawings.write(folder)
        drawn.write_text(now)
    support.write(folder)
    benchmarks.write(folder)
    reference.write(source / "reference")
    # By name: autosummary itself looks only at pages that it has seen in an earlier build.
    config.autosummary_generate = [
        str(page.relative_to(source)) for page in sorted((source / "reference").glob("*.rst"))
    ]


def setup(app):
    app.connect("config-inited", generate)  # before Sphinx looks which files there are
    app.connect("autodoc-process-docstring", markup.escape, priority=900)  # behind numpydoc
