"""A stand-in for the daemons of many directors: one process, with one socket for each, that gives the two documents which an agent reads.

    stand_in.py PLACE...

Each PLACE is the directory of a director, with `desired.yaml`, `state` and `run`. A daemon "takes" the file behind `desired.yaml` at
once, and has verified it a moment later. What is special is in the file's comments, or in a line on standard input, `{"name": …, "delay": …}`:

- `# bad` and `# bad NAME`: it is never verified, at all or at this director;
- `# guard` and `# guard NAME`: a guard refuses it, in the plan;
- `delay`: after how many seconds it is verified; `slow`: how many seconds each reply takes; `absent`: there is no socket.
"""
import asyncio
import hashlib
import json
import os
import socket
import sys
import time
import urllib.parse

SO_NETNS_COOKIE = 71


def headers_of_here():
    """The boot and the network namespace, as lbd writes them."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    place = os.stat("/proc/thread-self/ns/net")
    namespace = f"{place.st_dev}:{place.st_ino}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            namespace += f"#{int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), sys.byteorder)}"
        except OSError:
            pass
    return f"lbd-boot: {boot}\r\nlbd-namespace: {namespace}\r\n"


class Daemon:
    """The daemon of one director."""

    def __init__(self, place, here):
        self.place, self.name, self.here = place, os.path.basename(place), here
        self.delay, self.slow, self.absent = 0.2, 0.0, False
        self.verified, self.requests = None, 0
        self.server = None

    async def listen(self):
        """Its socket is there, or is not."""
        if self.server:
            self.server.close()
            self.server = None
        path = os.path.join(self.place, "run", "lbd.sock")
        if os.path.exists(path):
            os.unlink(path)
        if not self.absent:
            self.server = await asyncio.start_unix_server(self.serve, path)

    async def serve(self, reader, writer):
        """One request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            target = urllib.parse.urlsplit(head.split(b" ", 2)[1].decode())
            self.requests += 1
            await asyncio.sleep(self.slow)
            if target.path == "/v1/status":
                status, body = 200, self.status()
            elif target.path == "/v1/plan":
                status, body = 200, self.plan(urllib.parse.parse_qs(target.query)["file"][0])
            else:
                status, body = 404, {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no such document"}
            text = json.dumps({"version": 1, **body})
            writer.write((f"HTTP/1.1 {status} X\r\nlbd-state-dir: {self.place}/state\r\nlbd-file: {self.place}/desired.yaml\r\n{self.here}"
                          f"content-type: application/json\r\ncontent-length: {len(text.encode())}\r\nconnection: close\r\n\r\n{text}").encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, IndexError, KeyError) as error:
            print(f"{self.name}: {error!r}", file=sys.stderr)
        finally:
            writer.close()

    def has(self, text, word):
        """Whether a file has this comment, for this director."""
        return any(line in (f"# {word}", f"# {word} {self.name}") for line in text.splitlines())

    def desired(self):
        """The file, its digest, and for how many seconds it has been there."""
        try:
            with open(os.path.join(self.place, "desired.yaml"), encoding="utf-8") as file:
                text, age = file.read(), time.time() - os.fstat(file.fileno()).st_mtime
        except OSError:
            return "", None, 0.0
        return text, hashlib.sha256(text.encode()).hexdigest(), age

    def status(self):
        """GET /v1/status."""
        text, digest, age = self.desired()
        is_bad = self.has(text, "bad")
        if not is_bad and age >= self.delay:
            self.verified = digest
        is_well = self.verified == digest
        failed = ["set sysctl net.ipv4.vs.no_such_setting: no such setting"] if is_bad else []
        return {"in_sync": is_well, "file": {"sha256": digest}, "verified": {"sha256": self.verified}, "refused": None,
                "daemon": {"status": {"failed": failed, "health": {"open": 0, "on_fallback": 0}}}}

    def plan(self, file):
        """GET /v1/plan?file=FILE."""
        with open(file, encoding="utf-8") as opened:
            text = opened.read()
        digest = hashlib.sha256(text.encode()).hexdigest()
        is_other = digest != self.desired()[1]
        operations = [{"action": "edit", "kind": "server", "service": "tcp://192.0.2.1:80", "server": "10.0.0.1:80"}] if is_other else []
        refused = "would delete 3 of 3 services" if self.has(text, "guard") else None
        return {"operations": operations, "summary": {"add": 0, "edit": len(operations), "delete": 0}, "refused": refused, "file": {"sha256": digest}}


async def main(places):
    """All of them, until standard input ends."""
    here = headers_of_here()
    daemons = {daemon.name: daemon for daemon in (Daemon(place, here) for place in places)}
    for daemon in daemons.values():
        await daemon.listen()
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        words = json.loads(line)
        daemon = daemons[words.pop("name")]
        for key, value in words.items():
            setattr(daemon, key, value)
        if "absent" in words:
            await daemon.listen()
        print(daemon.requests, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
