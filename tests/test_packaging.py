"""What is published: the metadata, the source distribution, the wheels' configuration and the workflows.

`.ci/release` builds and checks sdist and wheel, which takes minutes; here is what can be found out without a compiler.
"""

import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
from email import message_from_string
from itertools import chain, product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = CONFIGURATION["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

IS_CHECKOUT = (ROOT / ".git").exists() and shutil.which("git") is not None
needs_checkout = pytest.mark.skipif(not IS_CHECKOUT, reason="this is no clone of the repository")
needs_workflows = pytest.mark.skipif(not WORKFLOWS, reason="the source distribution is without workflows")


@pytest.fixture
def release_notes():
    return runpy.run_path(str(ROOT / ".ci/check_version.py"))["release_notes"]


def interpreters():
    """The minor versions of Python 3 among the classifiers."""
    found = [re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", text) for text in PROJECT["classifiers"]]
    return [int(match[1]) for match in found if match]


# Metadata


def test_classifiers_agree_with_requires_python():
    oldest = int(re.fullmatch(r">=3\.(\d+)", PROJECT["requires-python"])[1])
    assert interpreters() == list(range(oldest, oldest + len(interpreters())))
    assert f"py3{oldest}" == CONFIGURATION["tool"]["ruff"]["target-version"]
    # PEP 639: the license is an expression, and classifiers about it are refused beside it
    assert not [text for text in PROJECT["classifiers"] if text.startswith("License")]
    assert len(set(PROJECT["classifiers"])) == len(PROJECT["classifiers"])


def test_the_version_is_written_once():
    version = re.escape(PROJECT["version"])
    sources = [ROOT / "setup.py", *(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.pyx")]
    assert len(sources) > 100
    for path in sources:
        assert not re.search(rf"[\"']{version}[\"']", path.read_text("utf-8")), f"{path} has the version"


def test_the_version_has_a_section_in_the_changelog(release_notes):
    assert release_notes(f"v{PROJECT['version']}").startswith("### ")


PROJECT_FILES = {
    "pyproject.toml": '[project]\nversion = "1.2.3"\n',
    "CITATION.cff": 'version: 1.2.3\ndate-released: "2030-01-02"\n',
    "CHANGELOG.md": "# Changelog\n\n## [1.2.3] - 2030-01-02\n\n### Fixed\n\n- A fault.\n\n## [1.2.2] - 2029-01-01\n",
}


@pytest.mark.parametrize(
    ("name", "old", "new", "tag", "message"),
    [
        ("pyproject.toml", "", "", "v1.2.4", r"tag is v1\.2\.4, .* version 1\.2\.3: the tag must be v1\.2\.3"),
        ("pyproject.toml", "", "", "1.2.3", r"the tag must be v1\.2\.3"),
        ("CITATION.cff", "1.2.3", "1.2.2", "v1.2.3", r"CITATION\.cff has 'version: 1\.2\.2'"),
        ("CITATION.cff", "2030", "2029", "v1.2.3", r"CHANGELOG\.md has the date 2030-01-02"),
        ("CHANGELOG.md", "[1.2.3] - 2030-01-02", "[Unreleased]", "v1.2.3", "has no section"),
        ("CHANGELOG.md", "[1.2.3] - 2030-01-02", "[1.2.3]", "v1.2.3", "has no section"),
    ],
)
def test_a_release_of_another_version_is_refused(name, old, new, tag, message, tmp_path, release_notes):
    for file, text in PROJECT_FILES.items():
        (tmp_path / file).write_text(text)
    assert release_notes("v1.2.3", tmp_path) == release_notes(root=tmp_path) == "### Fixed\n\n- A fault.\n"
    (tmp_path / name).write_text(PROJECT_FILES[name].replace(old, new) if old else PROJECT_FILES[name])
    with pytest.raises(ValueError, match=message):
        release_notes(tag, tmp_path)


def test_extras_that_are_named_exist():
    named = {}
    folders = [ROOT / "src", ROOT / "docs", ROOT / "examples", ROOT / "benchmarks", ROOT / ".ci", ROOT / ".github"]
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        # without what tools leave behind: documentation that was built, and caches
        if not any(part == "_build" or part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    for path in [*files, *ROOT.glob("*.md")]:
        if path.suffix in (".py", ".pyx", ".md", ".rst", ".yml", ""):
            for match in re.finditer(r"(?:fastbp|['\"]\.)\[([a-z, ]+)\]", path.read_text("utf-8")):
                named.update({extra.strip(): path for extra in match[1].split(",")})
    assert {"arrow", "dask", "dev", "plot", "save", "test"} <= named.keys()
    unknown = named.keys() - PROJECT["optional-dependencies"].keys()
    assert not unknown, f"{named[min(unknown)]} names the extra {min(unknown)!r}"


# The source distribution


@pytest.fixture(scope="module")
def source_distribution(tmp_path_factory):
    """(list of the tracked files, dict of the archive's contents by name), of a copy: building leaves files behind."""
    folder = tmp_path_factory.mktemp("copy")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    tracked = [name for name in tracked.split("\0") if name and (ROOT / name).exists()]
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    command = [sys.executable, "-W", "ignore", "setup.py", "--quiet", "sdist"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    (archive,) = (folder / "dist").iterdir()
    assert archive.name == f"fastbp-{PROJECT['version']}.tar.gz"
    with tarfile.open(archive) as tar:
        files = {member.name.partition("/")[2]: tar.extractfile(member).read() for member in tar if member.isfile()}
    return tracked, files


@needs_checkout
def test_the_source_distribution_has_all_files(source_distribution):
    tracked, files = source_distribution
    names = files.keys()
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    left_out = {name for name in tracked if name.startswith(".github/")} | {".gitignore"}
    assert names - made == set(tracked) - left_out
    assert {"LICENSE", "CHANGELOG.md", "docs/tables.md", "src/fastbp/py.typed", ".ci/try_wheel.py"} <= names


@needs_checkout
def test_links_of_the_package_index_lead_into_the_repository(source_distribution):
    """The page there is the README, beside which there are no files."""
    metadata = message_from_string(source_distribution[1]["PKG-INFO"].decode())
    assert metadata["Description-Content-Type"] == "text/markdown"
    page, readme = metadata.get_payload(), (ROOT / "README.md").read_text("utf-8")
    links = re.compile(r"(!?)\[(?:[^\[\]]|`[^`]*`)*\]\(([^()\s]+)\)")
    assert [mark for mark, _ in links.findall(page)] == [mark for mark, _ in links.findall(readme)]
    changed = 0
    for (mark, target), (_, original) in zip(links.findall(page), links.findall(readme), strict=True):
        assert target.startswith("https://"), target
        site = "https://raw.githubusercontent.com/fastbp/fastbp" if mark else f"{PROJECT['urls']['Source']}/blob"
        root = f"{site}/v{PROJECT['version']}/"
        if target.startswith(root):
            assert target == root + original
            assert (ROOT / original.partition("#")[0]).is_file(), original
            changed += 1
        else:
            assert target == original
        page = page.replace(f"]({target})", f"]({original})")
    assert changed > 40
    assert page.strip() == readme.strip()


# Wheels

PLATFORMS = {
    "linux": ["manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64"],
    "macos": ["macosx_x86_64", "macosx_arm64"],
    "windows": ["win_amd64"],
}
ARCHITECTURES = {"linux": "x86_64,aarch64", "macos": "x86_64,arm64", "windows": "AMD64"}


def wheel_interpreters():
    return [f"cp3{minor}" for minor in interpreters()] + ["cp314t"]


def test_wheels_are_built_for_the_interpreters_of_the_classifiers():
    assert CONFIGURATION["tool"]["cibuildwheel"]["build"] == [f"{name}-*" for name in wheel_interpreters()]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_cibuildwheel_knows_what_to_build(platform):
    pytest.importorskip("cibuildwheel")
    command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", platform, "--archs"]
    process = subprocess.run([*command, ARCHITECTURES[platform], ROOT], capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    expected = {"-".join(pair) for pair in product(wheel_interpreters(), PLATFORMS[platform])}
    assert set(process.stdout.split()) == expected


def test_files_that_a_wheel_is_tried_with_exist():
    cibuildwheel = CONFIGURATION["tool"]["cibuildwheel"]
    assert cibuildwheel["test-command"] == "python .ci/try_wheel.py"
    tried = runpy.run_path(str(ROOT / ".ci/try_wheel.py"))
    for name in [*cibuildwheel["test-sources"], *tried["TESTS"], tried["QUICK_START"]]:
        assert (ROOT / name).exists(), name
        assert any(name == source or name.startswith(f"{source}/") for source in cibuildwheel["test-sources"]), name


# Workflows


@needs_workflows
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows(path):
    text = path.read_text("utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    for action, comment in used:
        # a tag can be moved to other code; the version is for people and for dependabot
        is_pinned = re.search(r"@[0-9a-f]{40}$", action) and re.fullmatch(r" # v\d+\.\d+\.\d+", comment)
        assert is_pinned or action.startswith("./.github/"), action
    assert len(set(used)) == len({action.partition("@")[0] for action, _ in used})
    assert re.search(r"^permissions:", text, re.MULTILINE)
    for script in re.findall(r"\.ci/[\w.-]+", text):
        assert (ROOT / script).exists(), script
    yaml = pytest.importorskip("yaml")
    for name, job in yaml.safe_load(text)["jobs"].items():
        assert "timeout-minutes" in job or "uses" in job, f"{name} may run for hours"


@needs_workflows
def test_the_oldest_versions_are_tested():
    text = (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
    (tested,) = re.findall(r"oldest packages\n +os: .*\n +python: \"([\d.]+)\"\n +versions: (.*)\n", text)
    assert f">={tested[0]}" == PROJECT["requires-python"]
    tested = dict(re.findall(r"([\w-]+)==([\d.]+)\.\*", tested[1]))
    # no extra promises an older version of what it names
    required = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    found = [re.fullmatch(r"([\w-]+)>=(\d+(?:\.\d+)?)[\d.]*", text) for text in required]
    minima = {match.groups() for match in found if match}
    assert {"numpy", "scipy", "scikit-learn"} <= tested.keys()
    assert set(tested.items()) == {(name, version) for name, version in minima if name in tested}


@needs_workflows
def test_the_documentation_has_what_it_runs():
    """The tests of .ci/docs need pytest, and the recipes, of which most run in no other job, their packages."""
    text = (ROOT / ".github/workflows/docs.yml").read_text("utf-8")
    (installed,) = re.findall(r"pip install '\.\[(.*)\]'", text)
    assert {"docs", "test", "recipes"} <= set(installed.split(","))
    runs = re.findall(r"run: (.*)", text)
    assert ".ci/docs" in runs
    assert [command for command in runs if "pytest" in command and "tests/test_recipes.py" in command]


@needs_workflows
def test_wheels_are_counted_before_a_release():
    text = (ROOT / ".github/workflows/wheels.yml").read_text("utf-8")
    rows = re.findall(r"- \{ platform: (\w+), arch: (\w+),", text)
    assert sorted(f"{p}_{a}".replace("AMD64", "amd64") for p, a in rows) == sorted(chain(*PLATFORMS.values()))
    (count,) = re.findall(r"\$\(\((\d+) \* (\d+)\)\)", text)
    assert [int(factor) for factor in count] == [len(rows), len(wheel_interpreters())]
