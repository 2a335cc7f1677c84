"""The examples in sphinx-gallery: the files that they write, their order, and those that cannot run here."""

import ast
import html
import importlib.util
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_gallery.scrapers import figure_rst

EXAMPLES = Path(__file__).parents[2] / "examples"


#: A page that an example has written, in a frame on the page of the example
FRAME = '<iframe title="{name}" style="width: 100%; height: 40rem; background: #fff" srcdoc="{page}"></iframe>'


def take_files(block, block_vars, gallery_conf):
    """Take the pictures and pages that an example has written: an image scraper of sphinx-gallery.

    Examples write PNG and HTML files to the current directory, which is that of the examples; their names begin with
    that of the example. Sources in C, of which an example prints what matters, are removed.

    Parameters
    ----------
    block : tuple
        Not used.
    block_vars, gallery_conf : dict
        As sphinx-gallery gives them.

    Returns
    -------
    str
        reST that shows the files.
    """
    stem = Path(block_vars["src_file"]).stem
    pictures = []
    for picture in sorted(Path.cwd().glob(f"{stem}*.png")):
        pictures.append(next(block_vars["image_path_iterator"]))
        shutil.move(picture, pictures[-1])
    parts = [figure_rst(pictures, gallery_conf["src_dir"])]
    for page in sorted(Path.cwd().glob(f"{stem}*.html")):
        frame = Path(block_vars["target_file"]).with_name(page.name)
        frame.write_text(FRAME.format(name=page.stem, page=html.escape(page.read_text("utf-8"))), "utf-8")
        page.unlink()
        parts.append(f"\n.. raw:: html\n   :file: {frame.name}\n")
    for source in Path.cwd().glob(f"{stem}*.c"):
        source.unlink()
    return "".join(parts)


def order_of_readme(name):
    """The place of an example in the READMEs of the examples: a sort key.

    Parameters
    ----------
    name : str
        Its path, or the name of its file.

    Returns
    -------
    int
    """
    readmes = (EXAMPLES / "README.md", EXAMPLES / "recipes" / "README.md")
    listed = [name for readme in readmes for name in re.findall(r"\]\((\w+\.py)\)", readme.read_text("utf-8"))]
    return listed.index(Path(name).name)


def missing_modules(path):
    """The modules that an example imports always, and that are not installed.

    Imports in functions, and in a ``try``, are those of an example that does without.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str
    """
    statements = list(ast.parse(path.read_text("utf-8")).body)
    names = set()
    for node in statements:
        if isinstance(node, ast.With):
            statements += node.body
        elif isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return sorted(name for name in names if importlib.util.find_spec(name) is None)


def pattern_of_those_that_run():
    """The regular expression of the examples that sphinx-gallery runs: those whose modules are installed.

    Returns
    -------
    str
    """
    names = [path.stem for path in sorted(EXAMPLES.rglob("*.py")) if not missing_modules(path)]
    return rf"[/\\]({'|'.join(names)})\.py$"


def say_what_is_missing(app, docname, content):
    """Say on the page of an example that it was not run, and why."""
    path = EXAMPLES / f"{docname.removeprefix('gallery/')}.py"
    if docname.startswith("gallery/") and path.exists() and (missing := missing_modules(path)):
        note = f".. note:: This example was not run for this site. Not installed: {', '.join(missing)}.\n\n"
        content[0] = re.sub(r"^(===+)\n\n", rf"\1\n\n{note}", content[0], count=1, flags=re.MULTILINE)


class LanguageOfBlocks(SphinxPostTransform):
    """Gives ``highlight_language`` to blocks that name no language, before sphinx-gallery takes them for Python."""

    default_priority = 4  # that of sphinx-gallery's links in code is 5

    def run(self, **kwargs):
        """Set the language of the blocks of one page."""
        for block in self.document.findall(nodes.literal_block):
            block.setdefault("language", self.config.highlight_language)


def setup(app):
    """Register the extension."""
    app.add_post_transform(LanguageOfBlocks)
    app.connect("source-read", say_what_is_missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
