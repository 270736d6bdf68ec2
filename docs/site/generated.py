"""MkDocs' hook: adds the pages that are made when the site is built, and links to them."""

import re
from pathlib import Path, PurePosixPath

import method_page
import reference
from mkdocs.structure.files import File

from jaxssl import methods

DOCS = Path(__file__).parents[1]


def on_config(config):
    """Puts the pages behind those that are written by hand."""
    for section in config.nav:
        if "Methods" in section:
            section["Methods"] += [
                {name: method_page.path(method)} for name, method in _methods().items()
            ]
        if "Reference" in section:
            section["Reference"] += [{title: reference.path(title)} for title in reference.PAGES]
    return config


def on_files(files, config):
    """Adds the pages."""
    for method in _methods().values():
        text = method_page.page(method)
        files.append(File.generated(config, method_page.path(method), content=text))
    for title in reference.PAGES:
        text = reference.page(title)
        files.append(File.generated(config, reference.path(title), content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """A file that is no part of the site is named; in the list of methods each has its page."""

    def link(match: re.Match) -> str:
        text, target = match[1], match[2].partition("#")[0]
        if not target or "://" in target:
            return match[0]
        found = PurePosixPath(page.file.src_uri).parent / target
        there = files.get_file_from_path(_collapsed(found))
        if there is not None and not there.inclusion.is_excluded():
            return match[0]
        return f"{text} (`{_collapsed(PurePosixPath('docs') / found)}`)"

    markdown = re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", link, markdown)
    if page.file.src_uri == "methods.md":
        markdown = re.sub(r"^\|[^|]+\|", _linked, markdown, flags=re.MULTILINE)
    return markdown


def _linked(cell: re.Match) -> str:
    def link(match: re.Match) -> str:
        method = _methods().get(match[1])
        return f"[{match[0]}]({method_page.path(method)})" if method else match[0]

    return re.sub(r"`(\w+)`", link, cell[0])


def _methods() -> dict[str, type]:
    return dict(sorted(methods.all_configs().items(), key=lambda item: item[0].lower()))


def _collapsed(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
