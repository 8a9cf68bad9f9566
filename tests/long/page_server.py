"""Serves the page of lbd with an interface of its own behind it, whose table the test changes; or leads to the socket of a real daemon."""
import copy
import http.server
import json
import math
import os
import queue
import socket
import threading
import time
import urllib.parse

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))), "src", "api", "page")
FILES = {"/": ("index.html", "text/html; charset=utf-8"), "/page.js": ("page.js", "text/javascript; charset=utf-8"),
         "/page.css": ("page.css", "text/css; charset=utf-8"), "/icon.svg": ("icon.svg", "image/svg+xml")}
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")
COUNTERS = ["connections", "incoming_packets", "outgoing_packets", "incoming_bytes", "outgoing_bytes"]
# What a query may have; the daemon refuses all else.
KEYS = {"/v1/table": {"cluster", "servers"}, "/v1/status": {"cluster", "services"}, "/v1/history": {"events", "last"}, "/v1/events": {"after"}, "/v1/connections": {"cluster", "client", "server", "state"}}
# Markup, quotes, what would be a template, a tab, and a character that turns the direction of writing.
HOSTILE = "\"><img src=x onerror=alert(1)>{{7*7}}='a\tb\u202egnp"


def counters(connections, size=900):
    """Counters that fit together: of so many connections, with answers of this size in bytes."""
    return dict(zip(COUNTERS, [connections, connections * 8, connections * 9, connections * 620, connections * size]))


def total(rows, name):
    return {counter: sum(row[name][counter] for row in rows) for counter in COUNTERS}


def server(address, weight=1, rate=0, active=0, state="serving", file_weight=None, reason=None, forward="nat", size=900):
    """A row of a server; `file_weight` -1: the file has none."""
    row = {"server": address, "forward": forward, "weight": weight, "active": active, "inactive": active * 3, "persistent": 0,
           "statistics": counters(rate * 86400, size), "rates": counters(rate, size), "state": state,
           "file_weight": {None: weight, -1: None}.get(file_weight, file_weight)}
    return {**row, "reason": reason} if reason else row


def service(key, cluster, scheduler, servers):
    return {"service": key, "cluster": cluster, "scheduler": scheduler, "servers": servers}


def why(kind, text, until=None):
    return {"kind": kind, "text": text, "since": "2026-11-29T09:15:36Z", "until": until}


def event(kind, text, at, by=None, clusters=(), **more):
    return {"at": at, "kind": kind, "by": by, "text": text, "clusters": list(clusters), **more}


def director():
    """A director with something of everything."""
    def plain(network, count, rate, size=900, port=80, **more):
        return [server(f"{network}.{n}:{port}", rate=rate + n % 3, active=rate + n, size=size, **more) for n in range(11, 11 + count)]
    failing = why("check", "check web: status 503, 3 of 3, since 09:15:36")
    drained = why("drain", "api/192.168.9.12 is drained by alice from 2026-11-29T09:15:36Z until 2026-11-29T17:15:36Z: kernel upgrade", "2026-11-29T17:15:36Z")
    leaves = why("drain", "left the file; drains until 2026-11-29T09:20:36Z", "2026-11-29T09:20:36Z")
    web = [server("192.168.8.14:80", 3, 120, 340), server("192.168.8.15:80", 3, 118, 332),
           server("192.168.8.16:80", 0, 0, 12, "failing", 3, failing), server("192.168.8.17:80", 1, 41, 110)]
    api = [server("192.168.9.11:8080", 5, 310, 905, forward="dr"), server("192.168.9.12:8080", 0, 0, 57, "quiesced", 5, drained, "dr"),
           server("192.168.9.13:8080", 5, 302, 880, forward="dr"), server("192.168.9.10:8080", 0, 0, 4, "draining", -1, leaves, "dr")]
    return [
        service("tcp://10.0.0.13:80", "web", "wlc", web),
        service("tcp://10.0.0.14:443", "shop", "wrr", plain("192.168.20", 5, 64, 24000, 443)),
        service("tcp://10.0.0.15:443", "shop", "wrr", plain("192.168.20", 5, 22, 18000, 443)),
        service("udp://10.0.0.53:53", "dns", "rr", plain("192.168.30", 3, 900, 90, 53)),
        service("tcp://10.0.0.53:53", "dns", "rr", plain("192.168.30", 3, 4, 90, 53)),
        service("fwmark://10", "api", "sed", api),
        service("tcp://[fd00::13]:25", "mail", "mh", [server("[fd00::21]:25", 1, 3, 8, forward="tun"), server("[fd00::22]:25", 1, 2, 6, forward="tun")]),
        service("tcp://10.0.0.16:80", HOSTILE, "rr", [server("192.168.40.11:80", 1, 1, 2)]),
        service("tcp://10.9.9.9:8080", None, "rr", [server("192.168.99.9:8080", 1, 0, 1)]),
    ]


def many(count):
    """A table of so many services, with four servers each."""
    return [service(f"tcp://10.{n >> 16}.{n >> 8 & 255}.{n & 255}:80", f"cluster-{n}", "wlc",
                    [server(f"192.168.{n % 250}.{s}:80", rate=n % 7, active=n % 9) for s in range(11, 15)]) for n in range(count)]


STATUS = {
    "version": 1, "in_sync": True, "file": {"path": "/etc/lbd/desired.yaml", "problem": None, "sha256": "ab"}, "verified": {"sha256": "ab"},
    "daemon": {"running": True, "holder": "process 707", "died": False, "not_running_since": None, "status": {
        "file": "/etc/lbd/desired.yaml", "watching": "watching the desired file", "last_pass": None, "bad_file": None, "refused": None,
        "refused_in_part": None, "failed": [], "waiting": [], "fights": []}},
    "last_change": {"at": "2026-11-29T09:15:36Z", "command": "run", "reason": "file changed", "verified": True, "added": 0, "edited": 1, "deleted": 0},
    "refused": None, "unverified": None, "not_examined": [], "summary": {"add": 0, "edit": 0, "delete": 0}, "paused": [], "trial": None,
    "overridden": [], "draining": [], "left_out": [], "waiting": [], "warnings": [],
    "health": {"checked": 12, "failing": 0, "waiting": 0, "flapping": 0, "unknown": 0, "kept_in_service": 0, "failing_open": 0, "on_fallback": 0,
               "frozen": None, "silent": None, "not_known": False, "warnings": [], "services": [], "servers": []},
    "foreign": [{"service": "tcp://10.9.9.9:8080", "servers": ["192.168.99.9:8080"]}],
}


class Interface:
    """What the daemon would answer; the test writes its fields, under `lock` where several belong together."""

    def __init__(self):
        self.services, self.status, self.counters, self.host = director(), copy.deepcopy(STATUS), "running", "director1"
        self.events = [event("applied", "file changed", "2026-11-29T09:15:36Z", "alice", ["web"], added=0, edited=1, deleted=0, fields={"weight": 1},
                             changes=["edit server 192.168.8.14:80 of tcp://10.0.0.13:80: weight: 1 -> 3"])]
        self.listeners, self.asked, self.lock, self.is_lively = [], [], threading.Lock(), False

    def happens(self, one):
        """An event that goes to the list and to all who listen."""
        with self.lock:
            self.events.append(one)
            for listener in self.listeners:
                listener.put((len(self.events), one))

    def table(self, query):
        wanted, rows = query.get("cluster"), []
        for one in self.services:
            if wanted and one["cluster"] not in wanted:
                continue
            servers = [self.moved(row) for row in one["servers"]]
            row = {"missing": False, **one, "servers": servers, "rates": total(servers, "rates"), "statistics": total(servers, "statistics"),
                   **{name: sum(row[name] for row in servers) for name in ["active", "inactive", "persistent"]}}
            for counted in [row, *servers] if self.counters == "stopped" else []:
                del counted["rates"], counted["statistics"]
            states = [server["state"] for server in servers]
            row["servers_by_state"] = {state: states.count(state) for state in sorted(set(states))}
            if query.get("servers") == ["0"]:
                del row["servers"]
            rows.append(row)
        table = {"version": 1, "at": now(), "host": self.host, "in_sync": self.status["in_sync"], "counters": self.counters, "services": rows}
        if self.counters == "running":
            table["totals"] = {"rates": total(rows, "rates"), "statistics": total(rows, "statistics")}
        return table

    def moved(self, row):
        """A copy of a server; its rates follow the time, where they shall look alive."""
        if not self.is_lively or not row["rates"]["connections"]:
            return dict(row)
        seed, clock = hash(row["server"]) % 97, time.monotonic() * self.is_lively / 60
        factor = 1 + 0.34 * math.sin(clock * 1.7 + seed) + 0.2 * math.sin(clock * 5.3 + seed * 2) + 0.1 * math.sin(clock * 31 + seed * 3)
        return {**row, "rates": {name: int(value * factor) for name, value in row["rates"].items()}}


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    interface = None

    def log_message(self, *_):
        pass

    def reply(self, body, kind="application/json", status=200):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in [("Content-Type", kind), ("Content-Length", len(body)), ("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff"),
                            ("Cache-Control", "no-store")]:
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        try:
            self.answer()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self):
        interface, url = self.interface, urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        interface.asked.append(self.path)
        if not set(query) <= KEYS.get(url.path, set()):
            return self.reply({"title": "Bad Request", "status": 400, "detail": f"{url.query}: not a key"}, "application/problem+json", 400)
        if url.path in FILES:
            name, kind = FILES[url.path]
            with open(os.path.join(PAGE, name), "rb") as file:
                self.reply(file.read(), kind)
        elif url.path == "/v1/table":
            with interface.lock:
                table = interface.table(query)
            self.reply(table)
        elif url.path == "/v1/status":
            self.reply(interface.status)
        elif url.path == "/v1/history":
            self.reply({"version": 1, "events": interface.events[-int(query.get("last", [100000])[0]):]})
        elif url.path == "/v1/connections":
            lines = [{"protocol": "tcp", "client": f"203.0.113.{n}:4{n:03}", "virtual": "10.0.0.13:80", "server": query["server"][0], "state": "ESTABLISHED",
                      "expires_in": 900 - n, "cluster": query["cluster"][0], "service": "tcp://10.0.0.13:80", "template": False} for n in range(1, 4)]
            self.reply("".join(json.dumps(line) + "\n" for line in lines).encode(), "application/jsonl")
        elif url.path == "/v1/events":
            after = self.headers["Last-Event-ID"] or query.get("after", [None])[0]
            self.stream(after and int(after))
        else:
            self.reply({"title": "Not Found", "status": 404}, "application/problem+json", 404)
        return None

    def stream(self, after):
        mine = queue.Queue()
        with self.interface.lock:
            for number, one in enumerate(self.interface.events[after:] if after else [], (after or 0) + 1):
                mine.put((number, one))
            self.interface.listeners.append(mine)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.wfile.write(b": hello\n\n")
            while not self.server.is_over:
                try:
                    number, one = mine.get(timeout=0.2)
                except queue.Empty:
                    continue
                self.wfile.write(f"id: {number}\nevent: {one['kind']}\ndata: {json.dumps({'version': 1, **one})}\n\n".encode())
        finally:
            self.interface.listeners.remove(mine)
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    """The page and the interface on a port of 127.0.0.1 (0: any). `stop` ends it, as a daemon that is gone, with all connections."""
    daemon_threads, request_queue_size = True, 64

    def __init__(self, interface, port=0):
        super().__init__(("127.0.0.1", port), type("Bound", (Handler,), {"interface": interface}))
        self.is_over, self.open = False, set()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def process_request(self, request, client_address):
        self.open.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        pass

    def stop(self):
        self.is_over = True
        self.shutdown()
        self.server_close()
        for request in self.open:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def forward(path):
    """A port of 127.0.0.1 that leads to a Unix socket; gives its number."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy_to(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def accept():
        while True:
            client, _ = listener.accept()
            daemon = socket.socket(socket.AF_UNIX)
            try:
                daemon.connect(path)
            except OSError:
                client.close()
                continue
            for pair in [(client, daemon), (daemon, client)]:
                threading.Thread(target=copy_to, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]
