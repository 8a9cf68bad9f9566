#!/usr/bin/python3
"""Checks the example files against the JSON Schema of the desired file, of the agent's or of a strategy, and replies of the socket against theirs, with a validator that is not lbd's.

  schema_check.py            every YAML file below examples/ must be valid, and broken ones made from them must not be; the same of each
                             reply below tests/data/api/, which tests/kernel/socket.rs compares with those of a daemon

Needs Debian's python3-jsonschema and python3-yaml. Nothing to check is a failure, too.
"""
import copy
import json
import pathlib
import sys

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schema" / "desired.schema.json"
FRAGMENT = ROOT / "schema" / "fragment.schema.json"
API = ROOT / "schema" / "api.schema.json"
AGENT = ROOT / "schema" / "agent.schema.json"
STRATEGY = ROOT / "schema" / "strategy.schema.json"


def problems(validator, document):
    for error in sorted(validator.iter_errors(document), key=lambda error: [str(step) for step in error.absolute_path]):
        yield "%s: %s" % ("/".join(str(step) for step in error.absolute_path) or "(top)", error.message)


def broken(document):
    """Documents that must be refused: a schema that allows everything would let all examples pass."""
    if "version" in document:
        for key in ("version", "clusters"):
            yield "without " + key, {name: value for name, value in document.items() if name != key}
        yield "of an unknown version", {**document, "version": 99}
    else:
        yield "with a key of the main file", {**document, "policy": {}}
    yield "with an unknown key", {**document, "clutsers": []}
    if document.get("clusters"):
        worse = copy.deepcopy(document)
        worse["clusters"][0]["shceduler"] = "rr"
        yield "with an unknown key in a cluster", worse


def broken_agent(document):
    """Files of the agent that must be refused."""
    for key in ("version", "source"):
        yield "without " + key, {name: value for name, value in document.items() if name != key}
    yield "with an unknown key", {**document, "lables": {}}
    for name in ("git", "etcd", "directory"):
        entry = document["source"].get(name)
        if isinstance(entry, dict):
            yield "with an unknown key in its source", {**document, "source": {name: {**entry, "brunch": "main"}}}
        elif entry is None:
            yield "of two sources", {**document, "source": {**document["source"], name: "/srv"}}


def broken_strategy(document):
    """Strategies that must be refused."""
    for key in ("version", "directors", "stages"):
        yield "without " + key, {name: value for name, value in document.items() if name != key}
    yield "with an unknown key", {**document, "staegs": []}
    yield "without a stage", {**document, "stages": []}
    for index, stage in enumerate(document["stages"]):
        worse = [*document["stages"][:index], {**stage, "max_paralel": 1}, *document["stages"][index + 1:]]
        yield "with an unknown key in stage %d" % (index + 1), {**document, "stages": worse}


def broken_reply(document):
    """Replies that must be refused."""
    for path, reply in document.items():
        yield "of an unknown path", {path + "/": reply}
        for key in reply:
            worse = {**reply, key: []} if not isinstance(reply[key], list) else {**reply, key: {}}
            yield "with another kind of %s" % key, {path: worse}


def main():
    try:
        schema, fragment, api, agent, strategy = (json.loads(path.read_text()) for path in (SCHEMA, FRAGMENT, API, AGENT, STRATEGY))
    except OSError as error:
        print("schema_check: no schema: %s" % error)
        return 1
    for path, it in ((SCHEMA, schema), (FRAGMENT, fragment), (API, api), (AGENT, agent), (STRATEGY, strategy)):
        if it.get("$schema") != "https://json-schema.org/draft/2020-12/schema":
            print("schema_check: %s is not a Draft 2020-12 schema" % path)
            return 1
        jsonschema.Draft202012Validator.check_schema(it)
    replies = sorted((ROOT / "tests" / "data" / "api").glob("*.json"))
    examples = sorted((*(ROOT / "examples").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yml")))
    if not examples or not replies:
        print("schema_check: no YAML file below examples/, or no reply below tests/data/api/")
        return 1
    failed = 0
    for path in (*examples, *replies):
        text = path.read_text()
        document = yaml.safe_load(text)
        of_file, breaks = (fragment if FRAGMENT.name in text.split("\n")[0] else schema), broken
        if path in replies:
            of_file, breaks = api, broken_reply
        elif AGENT.name in text.split("\n")[0]:
            of_file, breaks = agent, broken_agent
        elif STRATEGY.name in text.split("\n")[0]:
            of_file, breaks = strategy, broken_strategy
        validator = jsonschema.Draft202012Validator(of_file)
        found = list(problems(validator, document))
        if not found:
            found = ["it would be accepted " + how for how, worse in breaks(document) if validator.is_valid(worse)]
        print("%s %s" % ("invalid" if found else "valid  ", path.relative_to(ROOT)))
        for problem in found:
            print("    " + problem)
        failed += bool(found)
    print("schema_check: %d examples, %d invalid" % (len(examples) + len(replies), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
