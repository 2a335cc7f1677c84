"""Names in code, such as `MLPClassifier`, become links to the reference, in docstrings and in Markdown.

What is looked up is the whole text of a piece of inline code: ``Dense``, ``layers.Dense``, ``fastbp.layers.Dense``,
``Dense.emit``, and in the docstring of a class the names of its methods.
"""

from collections import defaultdict

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode


def index_names(objects):
    """The names by which documented objects can be meant.

    Parameters
    ----------
    objects : iterable of str
        Their full names.

    Returns
    -------
    dict of str to list of str
        For each end of a full name, such as ``layers.Dense`` and ``Dense``, the full names.
    """
    names = defaultdict(list)
    for full_name in objects:
        parts = full_name.split(".")
        for start in range(len(parts)):
            names[".".join(parts[start:])].append(full_name)
    return dict(names)


def find_name(text, names, module="", owner=""):
    """The full name that a text stands for.

    Parameters
    ----------
    text : str
        As it is met, such as ``Dense`` or ``fastbp.save()``.
    names : dict of str to list of str
        Of `index_names`.
    module, owner : str
        Where it is met: the package, such as ``fastbp.layers``, and the full name of the class.

    Returns
    -------
    str or None
        None if it is no name of fastbp, or if it could mean several objects. A single word in lower case, such as
        ``mean``, is a name only in the docstrings of its package, or if it is one of ``fastbp`` itself.
    """
    text = text.removesuffix("()")
    candidates = names.get(text, [])
    near = [f"{owner}.{text}", f"{module}.{text}", f"fastbp.{text}", text]
    for full_name in near:
        if full_name in candidates:
            return full_name
    is_plain_word = text.islower() and "_" not in text and "." not in text
    depth = 2 + text.count(".")  # an attribute is meant with its class, or in the docstring of its class
    far = [] if is_plain_word else [name for name in candidates if name.count(".") == depth]
    return far[0] if len(far) == 1 else None


class NameLinks(SphinxPostTransform):
    """Makes links of inline code."""

    default_priority = 5

    def run(self, **kwargs):
        """Replace the names in one page."""
        domain = self.env.domains.python_domain
        names = index_names(name for name, entry in domain.objects.items() if not entry.aliased)
        for node in list(self.document.findall(nodes.literal)):
            if any(isinstance(parent, (nodes.reference, nodes.title, addnodes.pending_xref)) for parent in above(node)):
                continue
            module, owner = context(node)
            full_name = find_name(node.astext(), names, module, owner)
            if full_name is None or full_name == owner:
                continue
            entry = domain.objects[full_name]
            node.replace_self(
                make_refnode(
                    self.app.builder, self.env.docname, entry.docname, entry.node_id, node.deepcopy(), full_name
                )
            )


def above(node):
    """All that a node is part of, from inside to outside."""
    while (node := node.parent) is not None:
        yield node


def context(node):
    """The package, and the full name of the class, in whose docstring a node is; empty where it is in none."""
    for parent in above(node):
        if isinstance(parent, addnodes.desc) and parent.get("domain") == "py":
            signature = parent.next_node(addnodes.desc_signature)
            module, name = signature.get("module") or "", signature.get("fullname") or ""
            holder = name if parent["objtype"] in ("class", "exception") else name.rpartition(".")[0]
            return module, f"{module}.{holder}" if holder else ""
    return "", ""


def setup(app):
    """Register the extension."""
    app.add_post_transform(NameLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
