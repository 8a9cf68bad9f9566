#!/usr/bin/python3
"""Writes docs/format.md, the page of every key of the desired file, from the JSON Schema.

  format_page.py             prints the page: tests/format_page.py > docs/format.md
  format_page.py --check     fails where docs/format.md is not what it would print, or the schema has something that it cannot write
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "format.md"
START = """\
# The desired file: every key

Written from [schema/desired.schema.json](../schema/desired.schema.json), which is made from the program's types, by
`tests/format_page.py > docs/format.md`. A first file is in the [README](../README.md); whole files for every kind of set-up are in
[examples](../examples). In an editor, the first line `# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json` completes and checks
all of it.

An unknown key is an error, as is a key that is there twice. Where a key has no default, leaving it out means that there is none.
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


def written(example):
    """An example as it stands in the file, in one line of YAML."""
    if isinstance(example, dict):
        return "{ %s }" % ", ".join("%s: %s" % (key, written(value)) for key, value in example.items())
    if isinstance(example, list):
        return "[%s]" % ", ".join(written(value) for value in example)
    return str(example)


def main():
    try:
        page = "\n".join(Page(json.loads((ROOT / "schema" / "desired.schema.json").read_text())).lines()).rstrip() + "\n"
    except Unwritable as error:
        sys.exit("format_page: %s: teach it in tests/format_page.py" % error)
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text() != page:
            sys.exit("format_page: docs/format.md is not what the schema says; write it again: tests/format_page.py > docs/format.md")
        print("docs/format.md is what the schema says")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        sys.stdout.write(page)


if __name__ == "__main__":
    main()
