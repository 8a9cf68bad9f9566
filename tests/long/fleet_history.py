"""Replays etcd's own history of a fleet, and says where a rollout broke one of its rules.

The history is what `etcdctl watch --prefix PREFIX -w json` has written. Each rule is checked at each revision of etcd, against what was there before
it:

1. canary first: a slot is only taken when all directors of the earlier stages have verified the revision since the head was written, and each
   hold is over;
2. never more slots in a stage than `max_parallel`, of whatever revision;
3. nobody takes a slot for a revision that failed, nor while the fleet is halted, nor for another revision than the head's;
4. a slot only goes together with its result, or by `lbd fleet release`;
5. the head is written by the first canary, or by a command of an operator that is recorded at the same moment.
"""
import base64
import datetime
import json

VERIFIED, FAILED = "verified", "failed"


def moment(text):
    """A time of a document, in seconds."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    seconds = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc).timestamp()
    return seconds + float(f"0.{rest or 0}")


def of_lines(text, prefix):
    """The changes of each revision in what `etcdctl watch` wrote: `{revision: {key: value}}`, where no value is a key that went."""
    revisions = {}
    for line in text.splitlines():
        for event in json.loads(line).get("Events") or []:
            entry = event["kv"]
            key = base64.b64decode(entry["key"]).decode().removeprefix(prefix)
            # 0, which is a key that was written, is left out.
            value = None if event.get("type") in (1, "DELETE") else base64.b64decode(entry.get("value", ""))
            revisions.setdefault(entry["mod_revision"], {})[key] = value
    return revisions


class Follower:
    """Reads the file of a history while it grows."""

    def __init__(self, file, prefix):
        self.file, self.prefix = open(file, "rb"), prefix
        self.rest, self.revisions = b"", {}

    def read(self):
        """What has come since, too."""
        lines, end, self.rest = (self.rest + self.file.read()).rpartition(b"\n")
        for revision, changes in of_lines((lines + end).decode(), self.prefix).items():
            self.revisions.setdefault(revision, {}).update(changes)
        return self.revisions

    def now(self):
        """The keys as they are now, read."""
        keys = {}
        for revision in sorted(self.read()):
            for key, value in self.revisions[revision].items():
                keys[key] = value
        return {key: json.loads(value) for key, value in keys.items() if value is not None}


class Replay:
    """The fleet at one revision, and the rules."""

    def __init__(self):
        self.keys, self.written, self.violations = {}, {}, []
        self.most = {}

    def step(self, revision, changes):
        """One revision of etcd."""
        new = {key: None if value is None else json.loads(value) for key, value in changes.items()}
        for key, value in new.items():
            folder, _, name = key.partition("/")
            if folder == "slots" and value is None:
                self.frees(revision, name, new)
            elif folder == "slots":
                self.takes(revision, name, value)
            elif key == "head" and value is not None:
                self.heads(revision, value, new)
        for key, value in new.items():
            if value is None:
                self.keys.pop(key, None)
            else:
                self.keys[key], self.written[key] = value, revision

    def bad(self, revision, rule, text):
        """A rule is broken."""
        self.violations.append(f"rule {rule}, revision {revision} of etcd: {text}")

    # --- the fleet

    def stage_of(self, name):
        """The index of the stage of a director."""
        strategy = self.keys["strategy"]
        labels = {**strategy["directors"].get(name, {}), "name": name}
        return next((index for index, stage in enumerate(strategy["stages"])
                     if all(labels.get(label) == value for label, value in stage["match"].items())), None)

    def directors_of(self, stage):
        """The names of a stage."""
        return [name for name in self.keys["strategy"]["directors"] if self.stage_of(name) == stage]

    def outcome(self, name):
        """The result of the head's revision, if it is newer than the head."""
        key, head = f"results/{name}", self.keys.get("head")
        result = self.keys.get(key)
        is_of_head = result and head and result["revision"] == head["revision"] and self.written[key] > self.written["head"]
        return result if is_of_head else None

    # --- the rules

    def takes(self, revision, name, slot):
        """A director takes a slot."""
        head, strategy = self.keys.get("head"), self.keys.get("strategy")
        if not head or not strategy or name not in strategy["directors"]:
            self.bad(revision, 3, f"{name} takes a slot without a head, or is not in the strategy")
            return
        if slot["revision"] != head["revision"]:
            self.bad(revision, 3, f"{name} takes a slot for {slot['revision']}, and the head is {head['revision']}")
        if f"slots/{name}" in self.keys:
            self.bad(revision, 2, f"{name} takes a second slot")
        if "halt" in self.keys:
            self.bad(revision, 3, f"{name} takes a slot while the fleet is halted")
        failed = [other for other in strategy["directors"] if (self.outcome(other) or {}).get("result") == FAILED]
        if failed and strategy.get("on_failure", {}).get("halt", True):
            self.bad(revision, 3, f"{name} takes a slot for {slot['revision']}, which failed at {failed}")
        if head.get("is_rollback"):
            return
        stage = self.stage_of(name)
        for earlier in range(stage):
            outcomes = {other: self.outcome(other) for other in self.directors_of(earlier)}
            missing = [other for other, outcome in outcomes.items() if (outcome or {}).get("result") != VERIFIED]
            if missing:
                self.bad(revision, 1, f"{name} of stage {stage + 1} takes a slot before {missing} of stage {earlier + 1} verified {slot['revision']}")
            else:
                last = max([moment(outcome["at"]) for outcome in outcomes.values()], default=0)
                over = last + seconds(strategy["stages"][earlier].get("hold", "0s"))
                if moment(slot["since"]) < over:
                    self.bad(revision, 1, f"{name} takes a slot {over - moment(slot['since']):.2f} s before the hold of stage {earlier + 1} is over")
        taken = [key for key in self.keys if key.startswith("slots/") and self.stage_of(key.removeprefix("slots/")) == stage]
        count, most = len(taken) + 1, self.parallel(stage)
        self.most[stage] = max(self.most.get(stage, 0), count)
        if count > most:
            self.bad(revision, 2, f"{name} takes slot {count} of stage {stage + 1}, and {most} may be: {taken}")

    def parallel(self, stage):
        """How many of a stage may have a slot."""
        parallel, size = self.keys["strategy"]["stages"][stage].get("max_parallel", 1), len(self.directors_of(stage))
        if isinstance(parallel, str):
            return max(1, -(-size * int(parallel.removesuffix("%")) // 100))
        return max(1, parallel)

    def frees(self, revision, name, new):
        """A slot goes."""
        if f"slots/{name}" not in self.keys:
            return
        slot, result = self.keys[f"slots/{name}"], new.get(f"results/{name}")
        is_released = any(key.startswith("audit/") and value and value["what"] == f"fleet release {name}" for key, value in new.items())
        if not is_released and (not result or result["revision"] != slot["revision"]):
            self.bad(revision, 4, f"the slot of {name} for {slot['revision']} goes without its result: {sorted(new)}")

    def heads(self, revision, head, new):
        """There is a new head."""
        canary = self.directors_of(self.stage_of_first())[0] if "strategy" in self.keys else None
        words = ("fleet promote ", "fleet rollback ", "fleet push ")
        is_recorded = any(key.startswith("audit/") and value and value["what"].startswith(words) and value["by"] == head["by"]
                          for key, value in new.items())
        if head["by"] != canary and not is_recorded:
            self.bad(revision, 5, f"the head is written by {head['by']}, who is neither {canary} nor a recorded operator")
        if head["by"] == canary and head.get("is_rollback"):
            self.bad(revision, 5, f"{canary} writes a way back")

    def stage_of_first(self):
        """The first stage that has a director."""
        return next(stage for stage in range(len(self.keys["strategy"]["stages"])) if self.directors_of(stage))


def seconds(text):
    """A time such as 500ms, 2s or 1m."""
    if isinstance(text, int):
        return text
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def replay(revisions):
    """What a history breaks, and how many slots of a stage there were at once."""
    fleet = Replay()
    for revision in sorted(revisions):
        fleet.step(revision, revisions[revision])
    return fleet


# --- The checker has to fail where a rule is broken.

def self_test():
    """A history in which all is well, and one for each way in which it is not; gives the number of them."""
    stages = [{"match": {"role": "canary"}, "hold": "10s"}, {"match": {}, "max_parallel": 2}]
    strategy = {"version": 1, "directors": {"a": {"role": "canary"}, "b": {}, "c": {}, "d": {}}, "stages": stages}

    def at(second):
        return f"2026-11-30T08:00:{second:02}Z"

    def head(revision, by="a", **more):
        return {"head": {"revision": revision, "by": by, **more}}

    def takes(name, second, revision="r"):
        return {f"slots/{name}": {"revision": revision, "since": at(second)}}

    def ends(name, second, result=VERIFIED, revision="r"):
        return {f"slots/{name}": None, f"results/{name}": {"revision": revision, "result": result, "at": at(second)}}

    def audit(what, by="root@host"):
        return {"audit/1": {"what": what, "by": by}}

    begin, canary = [{"strategy": strategy}, head("r")], [takes("a", 0), ends("a", 1)]
    well = begin + canary + [takes("b", 11), takes("c", 11), ends("b", 12), takes("d", 12), {"slots/c": None, **audit("fleet release c")}, ends("d", 13)]
    again = begin + canary + [{**head("r", "root@host"), **audit("fleet promote r")}]
    cases = [
        (None, well),
        (None, again + canary + [takes("b", 11)]),
        (None, begin + canary + [{**head("q", "root@host", is_rollback=True), **audit("fleet rollback q")}] + [takes(n, 2, "q") for n in "abcd"]),
        (None, begin + [takes("a", 0), ends("a", 1, FAILED), head("s"), takes("a", 2, "s")]),
        (1, begin + [takes("b", 20)]),
        (1, begin + [takes("a", 0), takes("b", 20)]),
        (1, begin + canary + [takes("b", 10)]),
        (1, begin + canary + [head("s"), takes("b", 20, "s")]),
        (1, again + [takes("b", 20)]),
        (2, begin + canary + [takes("b", 11), takes("c", 11), takes("d", 11)]),
        (2, begin + canary + [takes("b", 11), takes("c", 11), head("s"), takes("a", 12, "s"), ends("a", 13, revision="s"), takes("d", 30, "s")]),
        (2, begin + [takes("a", 0), takes("a", 1)]),
        (3, begin + canary + [takes("b", 11), ends("b", 12, FAILED), takes("c", 13)]),
        (3, begin + canary + [{"halt": {"by": "root@host"}}, takes("b", 11)]),
        (3, begin + canary + [takes("b", 11, "other")]),
        (3, [{"strategy": strategy}, takes("a", 0)]),
        (3, begin + [takes("stranger", 0)]),
        (4, begin + [takes("a", 0), {"slots/a": None}]),
        (4, begin + [takes("a", 0), {"results/a": {"revision": "r", "result": VERIFIED, "at": at(1)}}, {"slots/a": None}]),
        (4, begin + [takes("a", 0), {"slots/a": None, **audit("fleet release b")}]),
        (4, begin + [takes("a", 0), ends("a", 1, revision="other")]),
        (5, [{"strategy": strategy}, head("r", "b")]),
        (5, [{"strategy": strategy}, head("r", "root@host")]),
        (5, [{"strategy": strategy}, {**head("r", "root@host"), **audit("fleet halt")}]),
        (5, begin + [head("q", "a", is_rollback=True)]),
    ]
    for number, (rule, steps) in enumerate(cases):
        lines = []
        for revision, changes in enumerate(steps, 1):
            events = [{"type": 0 if value else 1, "kv": {"key": coded("/p/" + key), "mod_revision": revision, "value": coded(json.dumps(value))}}
                      for key, value in changes.items()]
            lines.append(json.dumps({"Events": events}))
        found = replay(of_lines("\n".join(lines), "/p/")).violations
        is_found = bool(found) == bool(rule) and all(line.startswith(f"rule {rule},") for line in found)
        assert is_found, f"case {number} of the self-test: rule {rule}, found {found}"
    return len(cases)


def coded(text):
    """As etcdctl writes it."""
    return base64.b64encode(text.encode()).decode()
