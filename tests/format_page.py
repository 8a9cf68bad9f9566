#!/usr/bin/python3
"""Writes docs/format.md, the page of every key of the desired file, and its man page lbd.yaml(5), from the JSON Schema.

  format_page.py             prints the page: tests/format_page.py > docs/format.md
  format_page.py --man       prints the man page: tests/format_page.py --man > docs/lbd.yaml.5
  format_page.py --check     fails where these are not what it would print, or the schema has something that it cannot write
"""
import html
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "format.md"
MAN = ROOT / "docs" / "lbd.yaml.5"
START = """\
# The desired file: every key

Written from [schema/desired.schema.json](../schema/desired.schema.json), which is made from the program's types, by
`tests/format_page.py > docs/format.md`. A first file is in the [README](../README.md); whole files for every kind of set-up are in
[examples](../examples). In an editor, the first line `# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json` completes and checks
all of it.

An unknown key is an error, as is a key that is there twice. Where a key has no default, leaving it out means that there is none.
"""
# The start of the man page, and its end, in the same Markdown.
MAN_START = """\
## Name

lbd.yaml - what an IPVS load balancer shall be, for lbd(8)

## Description

`/etc/lbd/desired.yaml` says which virtual services this director has, and which real servers are behind them. lbd(8) keeps the kernel equal
to it. The file is YAML; JSON works, too.

```
version: 1
defaults: { scheduler: wlc, forward: nat }  # for every cluster
clusters:
  - name: web
    listen: tcp://192.0.2.80:80
    servers:
      - 10.0.0.11                           # the service's own port
      - { address: 10.0.0.12:8080, weight: 3 }
  - name: dns
    listen: [udp://192.0.2.53:53, tcp://192.0.2.53:53]
    servers: [10.0.0.21, 10.0.0.22]
```

`lbd validate` checks the file, `lbd diff` shows what it would change, `lbd export` writes what the kernel has as such a file. An unknown key
is an error, as is a key that is there twice. Where a key has no default, leaving it out means that there is none. In an editor, the first
line `# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json` completes and checks all of it.
"""
MAN_END = """\
## Files

| path | | meaning |
|---|---|---|
| `/etc/lbd/desired.yaml` | | The file; `lbd -f FILE` takes another. |
| `/usr/share/lbd/desired.schema.json` | | Its JSON Schema; `fragment.schema.json` beside it is that of the files that it includes. |

## See also

lbd(8), lbd-validate(8), lbd-diff(8), lbd-export(8), ipvsadm(8)
"""
# The mappings in the order in which a reader of the file meets them, and where in the file each is.
SECTIONS = [
    (None, "Top of the file"),
    ("Cluster", "`clusters[]`"),
    ("RealServer", "`clusters[].servers[]`"),
    ("Tunnel", "`clusters[].servers[].tunnel`"),
    ("Defaults", "`defaults`"),
    ("Check", "`checks.NAME`, `check`"),
    ("VerifyBy", "`checks.NAME.verify`"),
    ("Mark", "`marks[]`"),
    ("Match", "`marks[].match[]`"),
    ("Timeouts", "`timeouts`"),
    ("SyncDaemon", "`sync[]`"),
    ("Policy", "`policy`"),
]


class Unwritable(Exception):
    """The schema has a shape that this page has no way to show."""


class Page:
    def __init__(self, schema):
        self.schema = schema
        self.types = schema["$defs"]
        self.described = set()

    def resolved(self, value):
        """A value's type, and its name where it has one."""
        if "$ref" in value:
            name = value["$ref"].removeprefix("#/$defs/")
            return self.types[name], name
        return value, None

    def kind(self, value):
        """What may stand as a value, in a few words."""
        it, name = self.resolved(value)
        if name and name in dict(SECTIONS):
            return "a mapping: [%s](#%s)" % (dict(SECTIONS)[name], anchor(dict(SECTIONS)[name]))
        if name:
            self.described.add(name)
            return "[%s](#%s)" % (it["title"], anchor(it["title"]))
        if it.get("type") == "array":
            return "a list, each: " + self.kind(it["items"])
        if it.get("type") == "boolean":
            return "`true` or `false`"
        if it.get("type") == "object" and "additionalProperties" in it and "properties" not in it:
            return "a mapping from names to " + self.kind(it["additionalProperties"])
        if "title" in it:
            return "`%s`" % it["const"] if "const" in it else it["title"]
        raise Unwritable("no words for %s" % json.dumps(value))

    def mapping(self, it):
        yield "| key | value | meaning |"
        yield "|---|---|---|"
        for key, value in it["properties"].items():
            meaning = value.get("description") or self.resolved(value)[0].get("description")
            if not meaning:
                raise Unwritable("no description of %s" % key)
            yield "| `%s`%s | %s | %s |" % (key, " (required)" if key in it.get("required", []) else "", self.kind(value), cell(meaning))
        for pattern, value in it.get("patternProperties", {}).items():
            yield "| `%s…` | anything | %s |" % (pattern.removeprefix("^"), cell(value["description"]))

    def scalar(self, it):
        if "description" in it:
            yield it["description"]
            yield ""
        for choice in it.get("oneOf", []):
            yield "- `%s`: %s" % (choice["const"], choice["description"])
        if "oneOf" not in it:
            for choice in it.get("anyOf", [it]):
                yield from self.choice(choice)
        if "examples" in it:
            yield "- Examples: " + ", ".join("`%s`" % written(example) for example in it["examples"])

    def choice(self, it):
        if "$ref" in it:
            yield "- %s" % self.kind(it)
        elif "enum" in it:
            yield "- " + ", ".join("`%s`" % word for word in it["enum"])
        elif it.get("type") == "array":
            yield "- %s%s" % (self.kind(it), ", at least one" if it.get("minItems") == 1 else "")
        elif "minimum" in it:
            yield "- a whole number from %d to %d" % (it["minimum"], it["maximum"])
        elif it.get("type") == "string" or "pattern" in it:
            limits = ["at most %d characters" % it["maxLength"]] if "maxLength" in it else []
            pattern = ["by the pattern <code>%s</code>" % escaped(it["pattern"])] if "pattern" in it else []
            yield "- text" + ",".join(" " + words for words in pattern + limits)
        elif it.get("type") == ["integer", "string"]:
            yield "- a whole number or text"
        else:
            raise Unwritable("no words for %s" % json.dumps(it))

    def lines(self):
        yield from START.split("\n")
        yield from self.keys()

    def man(self):
        version = re.search(r'(?m)^version = "(.*)"$', (ROOT / "Cargo.toml").read_text()).group(1)
        yield '.TH lbd.yaml 5 "" "lbd %s" "IPVS load balancer"' % version
        yield ".ad l"
        yield from roff([*MAN_START.split("\n"), *self.keys(), *MAN_END.split("\n")])

    def keys(self):
        for name, place in SECTIONS:
            it = self.types[name] if name else self.schema
            yield "## %s" % place
            yield ""
            yield it["description"]
            yield ""
            yield from self.mapping(it)
            yield ""
        yield "## Values"
        yield ""
        written_types = {name for name, _ in SECTIONS}
        # A type's section can name further types.
        while self.described - written_types:
            for name in [name for name in self.types if name in self.described - written_types]:
                written_types.add(name)
                yield "### %s" % self.types[name]["title"]
                yield ""
                yield from self.scalar(self.types[name])
                yield ""
        left = set(self.types) - written_types
        if left:
            raise Unwritable("on no page: %s" % ", ".join(sorted(left)))


def anchor(title):
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("*", "&#42;")


def roff(lines):
    """Such Markdown as a man page: headings, tables, lists, paragraphs and code."""
    is_code = is_first = is_after_blank = False
    for line in lines:
        heading = re.match(r"(##+) (.*)", line)
        row = re.match(r"\| (.*`.*?) \| (?:(.*?) )?\| (.*) \|$", line.replace("\\|", "\0"))
        if line == "```":
            is_code = not is_code
            yield from [".PP", ".RS 4", ".nf"] if is_code else [".fi", ".RE"]
        elif is_code:
            yield text(line)
        elif heading:
            level, title = heading.groups()
            yield "%s %s" % ((".SH", text(title if "`" in title else title.upper(), "")) if level == "##" else (".SS", text(title, "")))
        elif row:
            key, value, meaning = row.groups()
            yield ".TP"
            yield text(key + (": " + value if value else ""))
            yield text(meaning.replace("\0", "|"))
        elif line.startswith("- "):
            yield ".IP \\(bu 2"
            yield text(line[2:])
        elif line and not line.startswith("|"):
            if is_after_blank and not is_first:
                yield ".PP"
            yield text(line)
        is_after_blank = not line
        is_first = bool(heading) or is_first and not line


def text(markdown, bold="\\\\fB%s\\\\fR"):
    """A line of Markdown as one of roff: code is bold, or as `bold` says, and links are their words."""
    plain = re.sub(r"\[([^\]]*(?:`[^`]*`[^\]]*)?)\]\(#[^)]*\)", r"\1", markdown)
    plain = re.sub(r"<code>(.*?)</code>", lambda code: "`%s`" % html.unescape(code.group(1)), plain)
    plain = plain.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("…", "...")
    plain = re.sub(r"[^\x00-\x7f]", lambda other: "\\[u%04X]" % ord(other.group()), plain)
    line = re.sub(r"`([^`]*)`", (bold or "%s") % r"\1", plain)
    # Long words can be broken behind these.
    line = re.sub(r"(?<=[|+])(?=\S{40})", r"\\:", line)
    return "\\&" + line if line[:1] == "." else line


def written(example):
    """An example as it stands in the file, in one line of YAML."""
    if isinstance(example, dict):
        return "{ %s }" % ", ".join("%s: %s" % (key, written(value)) for key, value in example.items())
    if isinstance(example, list):
        return "[%s]" % ", ".join(written(value) for value in example)
    return str(example)


def main():
    try:
        page = Page(json.loads((ROOT / "schema" / "desired.schema.json").read_text()))
        made = {PAGE: page.lines(), MAN: page.man()}
        made = {path: "\n".join(lines).rstrip() + "\n" for path, lines in made.items()}
    except Unwritable as error:
        sys.exit("format_page: %s: teach it in tests/format_page.py" % error)
    if sys.argv[1:] == ["--check"]:
        for path, option in ((PAGE, ""), (MAN, " --man")):
            name = path.relative_to(ROOT)
            if not path.exists() or path.read_text() != made[path]:
                sys.exit("format_page: %s is not what the schema says; write it again: tests/format_page.py%s > %s" % (name, option, name))
            print("%s is what the schema says" % name)
    elif sys.argv[1:] not in ([], ["--man"]):
        sys.exit(__doc__)
    else:
        sys.stdout.write(made[MAN if sys.argv[1:] else PAGE])


if __name__ == "__main__":
    main()
