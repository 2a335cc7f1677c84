"""The examples in sphinx-gallery: their pictures, and their order."""

import re
import shutil
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

EXAMPLES = Path(__file__).parents[2] / "examples"


def move_pictures(block, block_vars, gallery_conf):
    """Take the pictures that an example has written: an image scraper of sphinx-gallery.

    Examples write PNG files to the current directory, which is that of the examples; their names begin with that of
    the example.

    Parameters
    ----------
    block : tuple
        Not used.
    block_vars, gallery_conf : dict
        As sphinx-gallery gives them.

    Returns
    -------
    str
        reST that shows the pictures.
    """
    example = Path(block_vars["src_file"])
    taken = []
    for picture in sorted(Path.cwd().glob(f"{example.stem}*.png")):
        target = next(block_vars["image_path_iterator"])
        shutil.move(picture, target)
        taken.append(target)
    return figure_rst(taken, gallery_conf["src_dir"])


def order_of_readme(name):
    """The place of an example in the README of the examples: a sort key.

    Parameters
    ----------
    name : str
        Its path, or the name of its file.

    Returns
    -------
    int
    """
    listed = re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text("utf-8"))
    return listed.index(Path(name).name)
