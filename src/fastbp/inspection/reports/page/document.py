"""A report as a page of HTML, in one file that loads nothing."""

from html import escape

from fastbp.inspection.reports.page.elements import element, to_html
from fastbp.inspection.reports.page.style import STYLE

#: The page loads nothing and runs nothing, whatever it holds: a browser enforces it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def document(title, header, sections, footer):
    """The page.

    Parameters
    ----------
    title : str
    header : list of Element
    sections : list of Element
    footer : str

    Returns
    -------
    str
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", STYLE),
    )
    body = element(
        "body", element("header", header), element("main", sections), element("footer", element("p", footer))
    )
    return "<!DOCTYPE html>\n" + to_html(element("html", head, body, lang="en")) + "\n"


def heading(id, title, *content):
    """A section of the page with its heading."""
    name = f"{id}-heading"
    return element("section", element("h2", title, id=name), content, id=id, aria_labelledby=name)


def in_notebook(page, title):
    """The page for the output of a notebook: a frame, so that the styles of the two have nothing to do with each other.

    Parameters
    ----------
    page : str
        From `document`.
    title : str

    Returns
    -------
    str
    """
    return (
        f'<iframe title="{escape(title)}" srcdoc="{escape(page)}" sandbox="" loading="lazy" '
        'style="width: 100%; height: 760px; border: 1px solid #8888; border-radius: 8px"></iframe>'
    )
