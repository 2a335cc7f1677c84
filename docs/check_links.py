"""Look for dead links between the pages of the built site: ``python docs/check_links.py docs/_build``.

Checked are the targets of links, pictures, styles and scripts that are files of the site, and their anchors. Links to
other sites are not: `python -m sphinx -b linkcheck docs docs/_build/linkcheck` follows them where there is a network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Anchors that scripts of the theme make
MADE_BY_SCRIPTS = {"", "top"}


class Page(HTMLParser):
    """The links and the anchors of a page.

    Attributes
    ----------
    links : list of str
    anchors : set of str
    """

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Take the links and anchors of a tag."""
        for name, value in attrs:
            if name in ("href", "src") and value is not None:
                self.links.append(value)
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)


def dead_links(site):
    """Find the links that lead nowhere.

    Parameters
    ----------
    site : Path
        The folder with the built pages.

    Returns
    -------
    list of tuple of Path and str
        Pages, and links on them.
    """
    site = site.resolve()
    # _static has templates of the theme, which are no pages
    pages = {
        path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts
    }
    dead = []
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            has_anchor = target not in pages or anchor in MADE_BY_SCRIPTS | pages[target].anchors
            if not (target.is_relative_to(site) and target.is_file() and has_anchor):
                dead.append((path.relative_to(site), link))
    return dead


def main(site):
    """Print the dead links of a site.

    Parameters
    ----------
    site : str

    Returns
    -------
    int
        The status of the process: 1 if there are dead links.
    """
    if not (Path(site) / "index.html").exists():
        print(f"{site} has no index.html: build the site first, python3 -m sphinx docs {site}")
        return 1
    dead = dead_links(Path(site))
    for page, link in dead:
        print(f"{page}: {link} leads nowhere")
    print(f"{site}: {len(dead)} dead links")
    return int(bool(dead))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
