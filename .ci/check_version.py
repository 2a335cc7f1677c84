"""Checks that a tag names the version of pyproject.toml and CITATION.cff, and prints the changelog's section of it.

Run as ``python .ci/check_version.py v1.2.3``. Without a tag, the tag of the version is taken.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def project_version(root=ROOT):
    """The version in pyproject.toml, where all other files have it from."""
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def release_notes(tag=None, root=ROOT):
    """The section of CHANGELOG.md about a version.

    Parameters
    ----------
    tag : str or None
    root : Path
        The folder of the project.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        Where the tag, CITATION.cff and CHANGELOG.md do not agree with pyproject.toml.
    """
    version = project_version(root)
    if tag not in (None, f"v{version}"):
        raise ValueError(f"the tag is {tag}, and pyproject.toml has version {version}: the tag must be v{version}")
    citation = (root / "CITATION.cff").read_text("utf-8")
    cited = re.search(r"^version: *['\"]?([^'\"\s]+)", citation, re.MULTILINE)
    date = re.search(r"^date-released: *['\"]?(\d{4}-\d\d-\d\d)", citation, re.MULTILINE)
    if cited is None or cited[1] != version:
        raise ValueError(f"CITATION.cff has {cited and cited[0]!r}, and pyproject.toml has version {version}")
    sections = re.split(r"^## ", (root / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    for section in sections:
        title, _, text = section.partition("\n")
        match = re.fullmatch(r"\[(.+)\] - (\d{4}-\d\d-\d\d)", title.strip())
        if match and match[1] == version:
            if date is None or date[1] != match[2]:
                raise ValueError(f"CITATION.cff has {date and date[0]!r}, and CHANGELOG.md has the date {match[2]}")
            return re.split(r"^\[[^\]]+\]: ", text, flags=re.MULTILINE)[0].strip() + "\n"
    raise ValueError(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'")


if __name__ == "__main__":
    try:
        sys.stdout.write(release_notes(*sys.argv[1:2]))
    except ValueError as error:
        sys.exit(f"check_version: {error}")
