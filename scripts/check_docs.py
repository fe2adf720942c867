#!/usr/bin/env python3
"""Check the documentation: its links, the files that it names, and the README's length.

Looks at README.md, CONTRIBUTING.md and other Markdown files of the root, and at
docs/. A relative link must lead to a file of the checkout, and what follows `#`
to a heading of it, named as mdBook and GitHub name headings. Every page of the
book must be in its SUMMARY.md. Links to other sites are not followed. A path of
the checkout that stands in `code` must be there, but in the changelog, which
tells of the past. The README is for a first look: it has 12 KB at most.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "docs" / "src"
FENCE = re.compile(r"^\s*(```|~~~).*?^\s*\1", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s*\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
HTML = re.compile(r"<(?:a|img)\b[^>]*\b(?:href|src)=\"([^\"]+)\"")
INCLUDE = re.compile(r"\{\{#(?:include|rustdoc_include|playground)\s+([^\s:}]+)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
SOURCE = re.compile(
    r"`((?:baselines|benchmarks|decide|deploy|docs|envs|evaluate|fuzz|live|models|python|scorer|scripts|src|tests)/[\w./-]+)`"
)
STANDS_FOR = re.compile(r"[A-Z]{4,}")
README_BYTES = 12_000
ANCHOR = re.compile(r"<a\b[^>]*\b(?:id|name)=\"([^\"]+)\"")


def blank(match):
    """Keeps the lines, for line numbers."""
    return "\n" * match.group().count("\n")


def prose(path):
    """The text without code blocks and comments."""
    return COMMENT.sub(blank, FENCE.sub(blank, path.read_text(encoding="utf-8")))


def anchors(path):
    """The names that links to headings of a page use."""
    names, text = {}, prose(path)
    for heading in HEADING.findall(text):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        title = re.sub(r"[^\w\- ]", "", title.replace("`", "")).strip().lower()
        name = re.sub(r"\s", "-", title)
        count = names.get(name, -1) + 1
        names[name] = count
        if count:
            names[f"{name}-{count}"] = 0
    return set(names) | set(ANCHOR.findall(text))


def links(path):
    """Line and address of every link."""
    text = CODE.sub(lambda match: "`" + " " * (len(match.group()) - 2) + "`", prose(path))
    for pattern in (LINK, REFERENCE, HTML):
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match.group(1)


def check(path, known):
    """What is wrong with the links of a page."""
    wrong = []
    # mdBook only warns where such a file is missing.
    for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        if not (path.parent / name).is_file():
            wrong.append(f"{path.relative_to(ROOT)}: {name}: expected a file to include, got none")
    for line, address in links(path):
        if re.match(r"[a-z][a-z0-9+.-]*:|//", address, re.IGNORECASE):
            continue
        name, _, anchor = address.partition("#")
        page = (path.parent / name).resolve() if name else path
        where = f"{path.relative_to(ROOT)}:{line}: {address}"
        if not page.exists():
            wrong.append(f"{where}: expected a file or folder, got none")
        elif not page.is_relative_to(ROOT):
            wrong.append(f"{where}: expected a path within the checkout")
        elif path.is_relative_to(BOOK) and not page.is_relative_to(BOOK):
            wrong.append(f"{where}: expected a page of the book or a whole address: the book is built alone")
        elif anchor and page.suffix == ".md":
            if page not in known:
                known[page] = anchors(page)
            if anchor not in known[page]:
                wrong.append(f"{where}: expected a heading #{anchor} in {page.relative_to(ROOT)}")
    return wrong


def check_named(path):
    """Files that a page names and that are not there. Capitals stand for any name."""
    wrong, text = [], prose(path)
    for match in SOURCE.finditer(text):
        name = match.group(1)
        if not STANDS_FOR.search(name.replace("README", "")) and not (ROOT / name).exists():
            line = text.count("\n", 0, match.start()) + 1
            wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}: expected a file or folder, got none")
    return wrong


def main():
    pages = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
    known, wrong = {}, []
    for page in pages:
        wrong += check(page, known)
        if page.name != "CHANGELOG.md":
            wrong += check_named(page)
    readme = ROOT / "README.md"
    if readme.stat().st_size > README_BYTES:
        wrong.append(f"README.md: expected {README_BYTES} bytes at most, got {readme.stat().st_size}")
    summary = BOOK / "SUMMARY.md"
    if summary.exists():
        listed = {(BOOK / address).resolve() for _, address in links(summary)}
        for page in pages:
            if page.is_relative_to(BOOK) and page != summary and page not in listed:
                wrong.append(f"{page.relative_to(ROOT)}: expected an entry in {summary.relative_to(ROOT)}")
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"documentation: {len(pages)} pages, all links and named files are there")


if __name__ == "__main__":
    main()
