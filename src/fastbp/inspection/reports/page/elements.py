"""HTML as a tree of elements, which escapes all text when it is written."""

from xml.etree import ElementTree

Element = ElementTree.Element


def element(tag, *children, **attributes):
    """An HTML or SVG element.

    Parameters
    ----------
    tag : str
    *children : Element, str, number, None, or lists of them
        None is left out.
    **attributes : object
        ``class_`` stands for class, and an underscore for a hyphen. None is left out.

    Returns
    -------
    Element
    """
    names = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    node = Element(tag, {name: str(value) for name, value in names if value is not None})
    for child in flat(children):
        if isinstance(child, Element):
            node.append(child)
        elif len(node):
            node[-1].tail = (node[-1].tail or "") + str(child)
        else:
            node.text = (node.text or "") + str(child)
    return node


def flat(children):
    """The children of nested lists, one after the other, without None."""
    for child in children:
        if isinstance(child, (list, tuple)):
            yield from flat(child)
        elif child is not None:
            yield child


def to_html(node):
    """The text of an element, with all that it holds escaped: str."""
    return ElementTree.tostring(node, encoding="unicode", method="html")


def table(header, rows, *, caption, class_="numbers"):
    """A table whose first column names the rows.

    Parameters
    ----------
    header : sequence of str
    rows : list of sequence
        Of texts, numbers and elements.
    caption : str
        What the table shows, for screen readers.
    class_ : str

    Returns
    -------
    Element
        It scrolls where the page is too narrow.
    """
    head = element("tr", [element("th", name, scope="col") for name in header])
    body = [
        element("tr", element("th", row[0], scope="row"), [element("td", cell) for cell in row[1:]]) for row in rows
    ]
    whole = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", head),
        element("tbody", body),
        class_=class_,
    )
    return scrolling(whole, caption)


def scrolling(content, label):
    """Content that scrolls sideways where the page is too narrow, also by keyboard."""
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=label)


def figure(title, content, *notes, wide=False):
    """A picture, or a table, with its title and notes.

    Parameters
    ----------
    title : str
    content : Element or list of Element
    *notes : str, Element or None
        In words, what is to be seen.
    wide : bool
        Whether it takes the whole width of the page.

    Returns
    -------
    Element
    """
    notes = [element("p", note, class_="note") for note in notes if note is not None]
    caption = element("figcaption", element("h3", title))
    return element("figure", caption, content, notes, class_="wide" if wide else None)


def folded(summary, *content):
    """Content that is shown on a click."""
    return element("details", element("summary", summary), *content)


def bar(share, text, *, class_="bar", spread=0.0):
    """A horizontal bar with its number, in a cell of a table.

    Parameters
    ----------
    share : float
        Of the width, in [0, 1].
    text : str
    class_ : str
    spread : float
        Half the length of a whisker around the end of the bar, as a share of the width.

    Returns
    -------
    Element
    """
    fill = element("span", class_="fill", style=f"width:{100 * share:.1f}%")
    begin, end = max(0.0, share - spread), min(1.0, share + spread)
    whisker = element("span", class_="whisker", style=f"left:{100 * begin:.1f}%;width:{100 * (end - begin):.1f}%")
    track = element("span", fill, whisker if spread else None, class_="track", aria_hidden="true")
    return element("span", track, element("span", text, class_="value"), class_=class_)
