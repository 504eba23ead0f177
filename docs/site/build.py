"""Builds the site from the documents of this repository.

    python3 -m venv target/site-venv
    target/site-venv/bin/pip install -r docs/site/requirements.txt
    target/site-venv/bin/python docs/site/build.py [--update] [PROGRAM] [FOLDER]

PROGRAM is target/release/llmzip without the argument, FOLDER target/site. The build fails

- if a link or an image leads nowhere, an anchor included (addresses on the web are not asked), and
- if a command in a block ```console prints something else than the block says. Commands stand
  behind `$ `, their further lines behind `> `. A block runs in a fresh folder that holds the files
  of TEXTS, and `llmzip` is PROGRAM. With --update, documents are changed to what was printed.

A comment `<!-- surprise FILE N: BEGIN ... END -->` in a document becomes a picture of what each
token costs in the part of the text from the Nth BEGIN to the next END; `<!-- texts -->` becomes the
list of the pages of `explain`.
"""

import argparse
import html
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

# Section, document, name of the page, name in the navigation. The first page is the home page.
PAGES = [
    ("Guide", "README.md", "index", "llmzip"),
    ("Guide", "docs/GUIDE.md", "guide", "Guide"),
    ("Science", "docs/PREDICTION.md", "prediction", "Prediction is compression"),
    ("Science", "docs/site/texts.md", "texts", "Three texts, token by token"),
    ("Science", "docs/SCALING.md", "scaling", "Model size and compression"),
    ("Science", "docs/BENCHMARKS.md", "benchmarks", "Benchmarks"),
    ("Science", "training/README.md", "training", "How the models were trained"),
    ("Reference", "docs/REPORTS.md", "reports", "Reports"),
    ("Reference", "docs/PYTHON.md", "python", "Python"),
    ("Reference", "docs/GPU.md", "gpu", "Graphics processors"),
    ("Reference", "docs/MODELS.md", "models", "Models"),
    ("Reference", "docs/ARCHITECTURE.md", "architecture", "Architecture"),
    ("Reference", "SECURITY.md", "security", "Security"),
    ("Reference", "CONTRIBUTING.md", "contributing", "Contributing"),
    ("Reference", "CHANGELOG.md", "changelog", "Changelog"),
    ("Format", "docs/FORMAT.md", "format", "File format"),
    ("Format", "docs/PREDICTOR.md", "predictor", "Predictor"),
    ("Format", "docs/NUMERICS.md", "numerics", "Numerics"),
    ("Format", "tests/independent/README.md", "independent", "Independent decoder"),
]
# Texts that have a page of `explain`: file, what it is.
TEXTS = [
    ("docs/site/lighthouse.txt", "a story of 2026, written for this page"),
    ("docs/site/tides.rs", "a program in Rust, written for this page"),
    ("LICENSE-APACHE", "a licence of which the web holds millions of copies"),
]


class Failure(Exception):
    """Something in the documents is wrong; the message says what."""


def anchor(title, taken):
    """The anchor that GitHub gives a heading; `taken` counts those of the page."""
    name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    count = taken.get(name, 0)
    taken[name] = count + 1
    return f"{name}-{count}" if count else name


def code(renderer, tokens, index, options, environment):
    """A block of code, which scrolls, and so can have the focus; commands are bold."""
    text = html.escape(tokens[index].content, quote=False)
    if tokens[index].info == "console":
        text = re.sub(r"(?m)^(?:\$|&gt;) .*$", lambda command: f"<b>{command[0]}</b>", text)
    return f'<pre tabindex="0"><code>{text}</code></pre>\n'


class Site:
    def __init__(self, program, folder, update):
        self.program = program
        self.folder = folder
        self.update = update
        self.pages = {source: f"{name}.html" for _, source, name, _ in PAGES}
        self.texts = {source for source, _ in TEXTS}
        self.repository = repository()
        self.explained = {}
        self.assets = set()
        self.wrong = []

    def build(self):
        if self.folder.exists():
            if any(self.folder.iterdir()) and not (self.folder / "style.css").exists():
                raise Failure(f"{self.folder} holds something else than a site")
            shutil.rmtree(self.folder)
        (self.folder / "explain").mkdir(parents=True)
        shutil.copy(SITE / "style.css", self.folder)
        listed = {source for _, source, _, _ in PAGES}
        for document in sorted((ROOT / "docs").glob("*.md")):
            if f"docs/{document.name}" not in listed:
                self.wrong.append(f"docs/{document.name} is not in PAGES of {SITE.name}/build.py")
        for source, _ in TEXTS:
            self.explain(source)
        for _, source, name, title in PAGES:
            self.page(source, name, title)
        for asset in sorted(self.assets):
            to = self.folder / "files" / asset
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / asset, to)
        self.wrong += broken_links(self.folder)
        if self.wrong:
            raise Failure("\n".join(self.wrong))

    def explain(self, source):
        page = self.folder / "explain" / f"{Path(source).name}.html"
        # The page shows the name that it is given.
        command = [self.program, "explain", "-q", "-f", "-o", page, page.stem]
        self.run(command, cwd=(ROOT / source).parent)
        text = page.read_text()
        data = re.search(r'(?s)<script type="application/json"[^>]*>(.*?)</script>', text)
        report = json.loads(data[1]) if data else {}
        if report.get("schema") != "llmzip.explain":
            raise Failure(f"{page} does not contain the report that docs/REPORTS.md describes")
        self.explained[page.stem] = report
        # The page is complete in itself, and so does not lead back here.
        back = '<p><a href="../texts.html" style="color:inherit">llmzip: three texts</a></p>'
        text, count = re.subn(r"<body[^>]*>", lambda body: body[0] + back, text, count=1)
        if count != 1:
            raise Failure(f"{page} has no body")
        page.write_text(text)

    def run(self, command, **options):
        done = subprocess.run(command, capture_output=True, text=True, **options)
        if done.returncode:
            raise Failure(f"{command} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def page(self, source, name, title):
        text = (ROOT / source).read_text()
        text = self.check_commands(source, text)
        markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
        markdown.add_render_rule("fence", code)
        markdown.add_render_rule("code_block", code)
        tokens = markdown.parse(text)
        headings = self.rewrite(source, tokens)
        body = markdown.renderer.render(tokens, markdown.options, {})
        body = body.replace("<table>", '<div class="scroll" tabindex="0"><table>')
        body = body.replace("</table>", "</table></div>")
        body = re.sub(r"<!-- surprise (\S+) (\d+): (.*) \.\.\. (.*) -->", self.surprise, body)
        body = body.replace("<!-- texts -->", self.list_of_texts())
        (self.folder / f"{name}.html").write_text(self.frame(name, title, headings, body))

    def rewrite(self, source, tokens):
        """Gives headings their anchors, and links and images their places on the site."""
        taken, headings = {}, []
        for index, token in enumerate(tokens):
            if token.type == "heading_open":
                inline = tokens[index + 1]
                title = "".join(child.content for child in inline.children)
                token.attrSet("id", anchor(title, taken))
                if token.tag == "h2":
                    headings.append((token.attrGet("id"), title))
            tag = "a"
            for child in token.children or []:
                if child.type == "link_open":
                    self.link(source, child)
                    tag = child.tag
                if child.type == "link_close":
                    child.tag = tag
                if child.type == "image":
                    self.image(source, child)
        return headings

    def link(self, source, token):
        href = token.attrGet("href")
        if re.match(r"[a-z]+:", href) or href.startswith("#"):
            return
        path, _, fragment = href.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if target in self.pages:
            token.attrSet("href", self.pages[target] + (f"#{fragment}" if fragment else ""))
        elif target in self.texts:
            self.assets.add(target)
            token.attrSet("href", f"files/{target}")
        elif not (ROOT / target).exists():
            self.wrong.append(f"{source}: {href} does not exist")
        elif self.repository:
            token.attrSet("href", f"{self.repository}/blob/HEAD/{target}")
        else:
            # A file of the repository, which has no address: its name alone.
            token.tag = "span"
            token.attrs = {"title": target}

    def image(self, source, token):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), token.attrGet("src")))
        if (ROOT / target).is_file():
            self.assets.add(target)
            token.attrSet("src", f"files/{target}")
            token.attrSet("loading", "lazy")
        else:
            self.wrong.append(f"{source}: {token.attrGet('src')} does not exist")

    def check_commands(self, source, text):
        """Runs the console blocks of a document; with --update, gives them what was printed."""
        def check(block):
            shown = block[1]
            printed = self.session(re.findall(r"(?m)^\$ .*\n(?:> .*\n)*", shown))
            if printed != shown and not self.update:
                self.wrong.append(f"{source} shows\n{shown}but its commands print\n{printed}")
            return f"```console\n{printed}```"

        checked = re.sub(r"(?ms)^```console\n(.*?)^```$", check, text)
        if self.update and checked != text:
            (ROOT / source).write_text(checked)
            return checked
        return text

    def session(self, commands):
        """What a terminal shows of commands that run one after the other in a fresh folder."""
        with tempfile.TemporaryDirectory() as folder:
            for source, _ in TEXTS:
                shutil.copy(ROOT / source, folder)
            os.mkdir(f"{folder}/.bin")
            os.symlink(self.program, f"{folder}/.bin/llmzip")
            environment = {
                "PATH": f"{folder}/.bin:{os.environ['PATH']}",
                "HOME": folder,
                "LLMZIP_HOME": f"{folder}/.models",
                "LC_ALL": "C.UTF-8",
            }
            options = {"cwd": folder, "env": environment}
            shown = ""
            for typed in commands:
                # The first two letters of a line are the prompt.
                command = "\n".join(line[2:] for line in typed.splitlines())
                printed = self.run(["bash", "-ceo", "pipefail", command], **options)
                shown += typed + printed
                if printed and not printed.endswith("\n"):
                    shown += "\n"
            return shown

    def surprise(self, comment):
        """A picture of the tokens from the Nth BEGIN to the next END with the bits of each."""
        name, number, begin, end = comment.groups()
        report = self.explained[name]
        strings, pieces = report["strings"], report["pieces"]
        texts = [strings[index] for index in pieces["string"]]
        whole = "".join(texts)
        parts = re.finditer(f"{re.escape(begin)}(?s:.*?){re.escape(end)}", whole)
        spans = [part.span() for part in parts]
        if int(number) > len(spans):
            raise Failure(f"{name} has {len(spans)} parts {begin} ... {end}")
        first, last = spans[int(number) - 1]
        shown, offset, total = [], 0, 0.0
        for text, bits in zip(texts, pieces["bits"]):
            if first < offset + len(text) and offset < last:
                total += bits
                letters = html.escape(text.replace("\n", " ")) or " "
                shown.append(
                    f'<span><b>{bits:.1f}</b><i style="height:{bits / 4:.2f}rem"></i>'
                    f"<code>{letters}</code></span>"
                )
            offset += len(text)
        return (
            f'<figure class="surprise"><div>{"".join(shown)}</div><figcaption>What each token '
            f"costs, in bits: {total:.0f} bits for {last - first} characters. Measured by "
            f"<code>llmzip explain {name}</code> "
            f'(<a href="explain/{name}.html">the whole text</a>).</figcaption></figure>'
        )

    def list_of_texts(self):
        rows = ""
        for source, what in TEXTS:
            name = Path(source).name
            report = self.explained[name]
            rows += (
                f'<li><a href="explain/{name}.html"><b>{name}</b></a>: {what}. '
                f'{report["original_bytes"]:,} bytes become {report["compressed_bytes"]:,}, '
                f'{report["bits_per_byte"]:.2f} bits for each.</li>'
            )
        return f'<ul class="texts">{rows}</ul>'

    def frame(self, name, title, headings, body):
        """A whole page."""
        sections = {}
        for section, _, page, label in PAGES:
            here = ' aria-current="page"' if page == name else ""
            link = f'<li><a href="{page}.html"{here}>{html.escape(label)}</a>'
            if here and headings:
                links = "".join(
                    f'<li><a href="#{id}">{html.escape(text)}</a></li>' for id, text in headings
                )
                link += f"<ul>{links}</ul>"
            sections.setdefault(section, []).append(link + "</li>")
        navigation = "".join(
            f"<h2>{section}</h2><ul>{''.join(links)}</ul>" for section, links in sections.items()
        )
        suffix = "" if name == "index" else " – llmzip"
        return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}{suffix}</title>
<link rel="stylesheet" href="style.css">
<body>
<a class="skip" href="#text">To the text</a>
<header><a href="index.html">llmzip</a></header>
<details class="menu"><summary>Contents</summary>
<nav aria-label="Contents">{navigation}</nav></details>
<nav class="side" aria-label="Pages">{navigation}</nav>
<main id="text">
{body}</main>
</body>
</html>
"""


class Links(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self):
        super().__init__()
        self.ids, self.links = set(), []

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key == "id":
                self.ids.add(value)
            if key in ("href", "src"):
                self.links.append(value)


def broken_links(folder):
    """Links of the pages in `folder` that lead nowhere."""
    pages = {}
    for path in folder.glob("*.html"):
        pages[path.name] = Links()
        pages[path.name].feed(path.read_text())
    wrong = []
    for name, page in sorted(pages.items()):
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, fragment = link.partition("#")
            target = path or name
            if not (folder / target).is_file():
                wrong.append(f"{name}: {link} does not exist")
            elif fragment and fragment not in pages[target].ids:
                wrong.append(f"{name}: {link} has no such heading")
    return wrong


def repository():
    """The address in Cargo.toml, or None."""
    found = re.search(r'(?m)^repository = "(.*)"$', (ROOT / "Cargo.toml").read_text())
    return found and found[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--update", action="store_true")
    parser.add_argument("program", nargs="?", default=TARGET / "release/llmzip", type=Path)
    parser.add_argument("folder", nargs="?", default=TARGET / "site", type=Path)
    arguments = parser.parse_args()
    try:
        Site(arguments.program.resolve(), arguments.folder, arguments.update).build()
    except Failure as failure:
        sys.exit(f"docs/site/build.py: {failure}")


if __name__ == "__main__":
    main()
