"""Links in Markdown that work in the repository's web view and on the site.

A link in Markdown is a path from its own file, which is what the web view follows. On the site

- a file of which there is a page (``repository_pages`` in conf.py, and the examples) becomes a link to the page,
- any other file or folder a link to the repository's web view,
- a picture a path from the folder of the documentation.

A path without a file is a warning.
"""

import os
import re
from functools import partial
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)

#: Code, which is left alone: a fenced block, or `code` in a line
CODE = r"^(?P<fence>`{3,}|:{3,}).*?^(?P=fence)[ \t]*$|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"

#: ``[text](target)`` or ``![text](target)``; the text may hold code
LINK = r"(?P<image>!?)\[(?P<text>(?:[^\[\]`]|`[^`]*`)*)\]\((?P<target>[^()\s]+)\)"

PATTERN = re.compile(f"{LINK}|{CODE}", re.MULTILINE | re.DOTALL)


def rewrite_links(text, resolve):
    """Replace the targets of links, outside of code.

    Parameters
    ----------
    text : str
        Markdown.
    resolve : callable
        ``resolve(target, is_image) -> str``.

    Returns
    -------
    str
    """

    def replace(match):
        if match["target"] is None:
            return match[0]
        return f"{match['image']}[{match['text']}]({resolve(match['target'], bool(match['image']))})"

    return PATTERN.sub(replace, text)


class Resolver:
    """Where links lead to.

    Parameters
    ----------
    root, docs : Path
        The folders of the repository and of the documentation.
    pages : dict of str to str
        For files of the repository, by their paths from `root`, their pages, by their paths from `docs`.
    url : str
        The repository's web view.
    """

    def __init__(self, root, docs, pages, url):
        self.root, self.docs, self.pages, self.url = root.resolve(), docs.resolve(), pages, url

    def __call__(self, target, is_image, *, file):
        """Resolve one target that is met in a file.

        Parameters
        ----------
        target : str
        is_image : bool
        file : Path

        Returns
        -------
        str
        """
        path, hash_sign, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", target):
            return target
        found = (file.parent / path).resolve()
        if not found.exists() or not found.is_relative_to(self.root):
            logger.warning("the link to %s leads to no file", target, location=str(file))
            return target
        inside = found.relative_to(self.root).as_posix()
        if is_image or found.is_relative_to(self.docs):
            return f"/{Path(os.path.relpath(found, self.docs)).as_posix()}{hash_sign}{anchor}"
        if inside in self.pages:
            return "/" + self.pages[inside] + hash_sign + anchor
        return f"{self.url}/{'tree' if found.is_dir() else 'blob'}/main/{inside}{hash_sign}{anchor}"


def make_resolver(app):
    """The resolver of a build.

    Parameters
    ----------
    app : Sphinx

    Returns
    -------
    Resolver
    """
    docs, url = Path(app.srcdir), app.config.repository_url
    root = docs.parent
    pages = dict(app.config.repository_pages)
    for example in (root / "examples").rglob("*.py"):
        place = example.relative_to(root / "examples")
        pages[f"examples/{place.as_posix()}"] = f"gallery/{place.with_suffix('.rst').as_posix()}"
    return Resolver(root, docs, pages, url)


def on_source_read(app, docname, content):
    """Rewrite the links of a page."""
    file = Path(app.env.doc2path(docname))
    if file.suffix == ".md":
        content[0] = rewrite_links(content[0], partial(make_resolver(app), file=file))


def on_include_read(app, relative_path, parent_docname, content):
    """Rewrite the links of a file that a page includes."""
    file = Path(app.srcdir) / relative_path
    if file.suffix == ".md":
        content[0] = rewrite_links(content[0], partial(make_resolver(app), file=file))


def setup(app):
    """Register the extension."""
    app.add_config_value("repository_url", "", "env", types=(str,))
    app.add_config_value("repository_pages", {}, "env", types=(dict,))
    app.connect("source-read", on_source_read)
    app.connect("include-read", on_include_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
