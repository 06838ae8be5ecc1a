"""Docstrings are prose with formulas: what reStructuredText would read as markup is escaped."""

import re

LITERAL = re.compile(r"(``.+?``|`[^`]+`)")
# A star before a name in a tuple, such as the shape (n, *event), opens no emphasis.
STAR = re.compile(r"(?<=[(,\s])\*(?=[\w.]+[),])")


def escape(app, what, name, obj, options, lines):
    """Escape bars and stars outside literals and examples."""
    example = False
    for number, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[number] = "".join(
                part if place % 2 else STAR.sub(r"\\*", part.replace("|", r"\|"))
                for place, part in enumerate(LITERAL.split(line))
            )
