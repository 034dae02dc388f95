"""What must be true of the whole site, or the build fails.

Before the pages are read, every public name must have an entry in the reference, with an example and with what to see
also, and every `name` in a docstring must stand for something. When they are read, methods and properties must be among
what they describe. When they are written, every link inside the site must lead somewhere, and no page may need the
network.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.ext.autodoc.mock import mock

import glasscurv

REFERENCE = Path(__file__).parents[1] / "api"
ADDRESS = re.compile(r"url\(['\"]?https?:|@import\s+['\"]https?:")
"""What makes a style load something from elsewhere."""


def entries() -> list[str]:
    """Return the full names of what the reference describes, as its pages list them."""
    names = []
    for page in sorted(REFERENCE.glob("*.md")):
        module = "glasscurv"
        for kind, name in re.findall(r"^\.\. ([a-z:]+):: (\S+)$", page.read_text("utf-8"), re.MULTILINE):
            if kind == "currentmodule":
                module = name
            elif kind in ("autoclass", "autofunction", "autoexception", "py:data"):
                names.append(name if name.startswith("glasscurv.") else f"{module}.{name}")
    return names


def public_names() -> Iterator[str]:
    """Give the full names that modules meant for users list in their ``__all__``, but not modules."""
    for found in pkgutil.walk_packages(glasscurv.__path__, "glasscurv."):
        if not re.search(r"\._|\.core\b|\.cli\b", found.name):
            module = importlib.import_module(found.name)
            yield from (f"{found.name}.{name}" for name in getattr(module, "__all__", ()))
    yield from (f"glasscurv.{name}" for name in glasscurv.__all__)


def members(item: type) -> list[str]:
    """Return the names of the methods and properties that a class itself gives its users."""
    kinds = (property, cached_property, classmethod, staticmethod)
    public = ((name, value) for name, value in vars(item).items() if not name.startswith("_"))
    return [name for name, value in public if inspect.isfunction(value) or isinstance(value, kinds)]


def documented(item: object) -> set[str]:
    """Return the names in the sections of a docstring."""
    sections = NumpyDocString(inspect.getdoc(item) or "")
    entries = (entry for part in ("Parameters", "Returns", "Attributes") for entry in sections[part])
    return {name for entry in entries for name in entry.name.split(", ")}


def unknown_names(name: str, owner: object) -> list[str]:
    """Return what stands as `name` in a docstring, but is no parameter, no attribute and nothing that can be imported.

    Sphinx sets such a word as emphasis, and says nothing.
    """
    item = resolve(name)
    known = documented(item) | documented(owner) | set(dir(owner))
    words = re.findall(r"(?<![`:\w])`([^`\n]+)`(?!`)", inspect.getdoc(item) or "")
    places = ("", "glasscurv.", f"{name.rpartition('.')[0]}.", f"{owner.__module__}.")
    return [word for word in words if word not in known and not any(exists(place + word) for place in places)]


def check_reference(app: Sphinx) -> None:
    """See that every public name is described, and every function and class with an example and what to see also."""
    with mock(app.config.autodoc_mock_imports):
        described = {name: resolve(name) for name in entries()}
        faults = [
            f"{name} has no entry in docs/api"
            for name in public_names()
            if not inspect.ismodule(resolve(name)) and not any(resolve(name) is item for item in described.values())
        ]
        for name, item in described.items():
            if not (inspect.isroutine(item) or inspect.isclass(item)):
                continue
            faults += [f"{name}: {text}" for code, text in validate(name)["errors"] if code in ("EX01", "SA01")]
            parts = members(item) if inspect.isclass(item) else []
            for full in (name, *(f"{name}.{part}" for part in parts)):
                faults += [f"{full}: `{word}` is nothing known" for word in unknown_names(full, item)]
    if faults:
        raise ExtensionError("the reference is not complete:\n" + "\n".join(faults))


def check_members(app: Sphinx, env: BuildEnvironment) -> None:
    """See that methods and properties of the classes in the reference are described; without a docstring none is."""
    with mock(app.config.autodoc_mock_imports):
        classes = {name: item for name in entries() if inspect.isclass(item := resolve(name))}
    names = {f"{name}.{part}" for name, item in classes.items() for part in members(item)}
    if missing := sorted(names - env.get_domain("py").objects.keys()):
        raise ExtensionError("the reference is not complete:\n" + "\n".join(f"{name} has no entry" for name in missing))


def resolve(name: str) -> object:
    """Return what a full name stands for."""
    module, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), last)
    except ModuleNotFoundError:  # a member of a class
        return getattr(resolve(module), last)


def exists(name: str) -> bool:
    """Whether a full name stands for something."""
    try:
        resolve(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return True


class Page(HTMLParser):
    """The targets, links, loaded files and styles of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.styles = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.targets |= {found[name] for name in ("id", "name") if name in found}
        if "href" in found:
            (self.loaded if tag == "link" else self.links).add(found["href"])
        if "src" in found:
            self.loaded.add(found["src"])
        if "srcset" in found:
            self.loaded |= {image.split()[0] for image in found["srcset"].split(",")}
        self.styles += found.get("style", "")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style":
            self.styles += data


def check_links(app: Sphinx, exception: Exception | None) -> None:
    """See that links inside the written site lead somewhere, and that nothing is loaded from elsewhere."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir).resolve()
    pages = {}
    for file in set(folder.rglob("*.html")) - set((folder / "_static").rglob("*")):  # where templates lie
        pages[file] = page = Page()
        page.feed(file.read_text("utf-8"))
    faults = []
    for file, page in pages.items():
        here = file.relative_to(folder)
        if ADDRESS.search(page.styles):
            faults.append(f"{here} has a style that loads what is not in the site")
        for link in sorted(page.links | page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded:
                    faults.append(f"{here} loads {link}")
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                faults.append(f"{here} links to {link}, which does not exist")
            elif (
                parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].targets
                # Sphinx takes all names of a source for those of one module, and leads to the right page at least.
                and here.parts[0] != "_modules"
            ):
                faults.append(f"{here} links to {link}, but the page has no such place")
    styles = (file for file in folder.rglob("*.css") if ADDRESS.search(file.read_text("utf-8")))
    faults += [f"{file.relative_to(folder)} loads what is not in the site" for file in styles]
    if faults:
        raise ExtensionError("the site is not whole:\n" + "\n".join(faults))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the checks to the build."""
    app.connect("builder-inited", check_reference)
    app.connect("env-check-consistency", check_members)
    app.connect("build-finished", check_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
