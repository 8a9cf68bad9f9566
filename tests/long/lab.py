"""What the long proofs need in the lab: hosts, servers, a director with lbd, clients that count, and a watch of the table."""

import asyncio
import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CLONE_NEWNET = 0x40000000
LBD = os.environ.get("LBD", "lbd")
# What an edit takes in the lab after its verdict: up to 0.1 s until the pass, and the pass itself.
EDIT_S = 0.4
# After so long a client gives up a request, which the lab answers in milliseconds unless its machine is busy; and a question.
PATIENCE_S = 3.0
QUESTION_S = 0.5


class Failed(Exception):
    """A proof that fails."""


def now():
    return time.monotonic()


sleep = time.sleep


def sh(command):
    """Runs a command in the network namespace of this thread."""
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Failed(f"{command}: {done.stdout}")
    return done.stdout


def enter(host):
    """This thread, and what it starts, is on that host from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/run/netns/" + host, encoding="ascii") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter " + host)


# --- hosts

def hosts():
    """The names of the real servers."""
    return [f"rs{number}" for number in range(1, 9)]


def server(host, port=8080):
    """The address of a real server."""
    return f"192.168.8.{20 + int(host[2:])}:{port}"


def build():
    """Namespaces on two bridges; the port of a host's bridge has the host's name, or that of the director's two legs."""
    legs = [("client", "eth0", "outside", "10.0.0.12/24", "client"), ("director", "eth0", "outside", "10.0.0.13/24", "director0"),
            ("director", "eth1", "inside", "192.168.8.13/24", "director1")]
    legs += [(host, "eth0", "inside", server(host).split(":")[0] + "/24", host) for host in hosts()]
    names = dict.fromkeys(leg[0] for leg in legs)
    first = [f"netns add {name}" for name in ("switches", *names)]
    switches = [f"link add {bridge} type bridge forward_delay 0\nlink set {bridge} up" for bridge in ("outside", "inside")]
    for host, link, bridge, _, port in legs:
        first.append(f"link add {link} netns {host} type veth peer name {port} netns switches")
        switches.append(f"link set {port} master {bridge} up")
    batch("", first)
    batch("-n switches", switches)
    for name in names:
        lines = ["link set lo up"]
        for _, link, _, address, _ in (leg for leg in legs if leg[0] == name):
            lines += [f"addr add {address} dev {link}", f"link set {link} up"]
        if name in hosts():
            lines.append("route add default via 192.168.8.13")
        batch("-n " + name, lines)
    # Ready for a filter: what loads modules first takes too long for a fault whose moment is measured.
    sh("modprobe -a sch_ingress cls_matchall act_gact && " + " && ".join(f"tc -n {host} qdisc add dev eth0 ingress" for host in hosts()))


def batch(options, lines):
    subprocess.run(f"ip {options} -batch -", shell=True, input="\n".join(lines) + "\n", text=True, check=True)


def serve(host):
    """Starts the real server of a host: a process of its own."""
    with open("/tmp/servers.log", "a", encoding="ascii") as log:
        program = os.path.join(ROOT, "examples/lab.d/servers.py")
        subprocess.run(["/usr/bin/python3", "-IS", program, host, "8080", "8081", "udp:5353"], stdout=log, stderr=log, check=True)


def signal_server(host, name):
    """Sends a signal to the process of a real server."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", encoding="ascii", errors="replace") as file:
                words = file.read().split("\0")
        except FileNotFoundError:
            continue
        if len(words) > 3 and words[2].endswith("/servers.py") and words[3] == host:
            os.kill(int(process), getattr(signal, "SIG" + name))
            return
    raise Failed(f"no server runs on {host}")


# --- what looks

class Watch(threading.Thread):
    """Looks at the director's table all the time: the weight of each server, as the kernel prints it."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = []
        self.times = []
        self.over = False
        self.start()

    def run(self):
        enter("director")
        while not self.over:
            table, at = self.look(), now()
            self.times.append(at)
            if not self.seen or self.seen[-1][1] != table:
                self.seen.append((at, table))
            sleep(0.02)

    @staticmethod
    def look():
        """The weights now."""
        table = {}
        with open("/proc/thread-self/net/ip_vs", encoding="ascii") as file:
            for line in file:
                words = line.split()
                if words[:1] == ["->"] and ":" in words[1] and words[1][0] in "0123456789ABCDEF":
                    address, port = words[1].split(":")
                    table[socket.inet_ntoa(bytes.fromhex(address)) + ":" + str(int(port, 16))] = int(words[3])
        return table

    def table(self):
        """The newest look."""
        return self.seen[-1][1]

    def until(self, since, is_so, patience):
        """The moment at which the table became so, after `since`; `None` if it does not."""
        end = now() + patience
        place = 0
        while True:
            seen = self.seen
            while place < len(seen):
                at, table = seen[place]
                until = seen[place + 1][0] if place + 1 < len(seen) else now()
                if until > since and is_so(table):
                    return at
                if place + 1 == len(seen):
                    break
                place += 1
            if now() > end:
                return None
            sleep(0.01)

    def changes(self, since):
        """What was seen since that was not so before."""
        return [(at - since, table) for at, table in self.seen if at > since]

    def looks(self, since):
        """How often it has looked since."""
        return sum(at > since for at in self.times)


class Counting(threading.Thread):
    """A client that notes each request: when it began, who answered, or what went wrong."""

    def __init__(self):
        super().__init__(daemon=True)
        self.noted = []
        self.over = False
        self.start()

    def stop(self):
        """Ends it."""
        self.over = True
        self.join()

    def settled(self, since):
        """The requests that began since, and are answered or given up."""
        end = now()
        while any(entry[1] is None for entry in self.noted if since < entry[0] < end):
            sleep(0.05)
        return [entry for entry in list(self.noted) if since < entry[0] < end]

    def sent(self, since):
        """How many have begun since."""
        return len(self.settled(since))

    def lost(self, since):
        """When those began that had no good answer."""
        return [began for began, is_answered, _ in self.settled(since) if not is_answered]

    def reasons(self, since):
        """Why they had none."""
        return [(round(began - since, 2), words) for began, is_answered, words in self.settled(since) if not is_answered]

    def servers(self, since):
        """Which servers answered."""
        return {words for _, is_answered, words in self.settled(since) if is_answered}


class Client(Counting):
    """Sends 25 HTTP requests a second to the virtual service, each on a connection of its own, whatever becomes of those before."""

    def __init__(self, path):
        self.path = path
        super().__init__()

    def run(self):
        enter("client")
        asyncio.run(self.loop())

    async def loop(self):
        tasks = set()
        while not self.over:
            task = asyncio.create_task(self.request())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.04)
        await asyncio.gather(*tasks)

    async def request(self):
        entry = [now(), None, ""]
        self.noted.append(entry)
        try:
            head, _, body = (await asyncio.wait_for(self.exchange(), PATIENCE_S)).partition(b"\r\n\r\n")
            status = head.split(b"\r\n")[0].decode()
            is_answered = " 200 " in status and len(body) > 0
            entry[2] = body.split()[0].decode() if is_answered else status
            entry[1] = is_answered
        except asyncio.TimeoutError:
            entry[1:] = [False, "no answer"]
        except OSError as error:
            entry[1:] = [False, str(error)]

    async def exchange(self):
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, ("10.0.0.13", 80))
            await loop.sock_sendall(connection, f"GET {self.path} HTTP/1.0\r\n\r\n".encode())
            answer = b""
            while part := await loop.sock_recv(connection, 65536):
                answer += part
            return answer


class Questions(Counting):
    """Sends one datagram after the other to the virtual service, all from one socket."""

    def run(self):
        enter("client")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            connection.connect(("10.0.0.13", 53))
            connection.settimeout(QUESTION_S)
            while not self.over:
                entry = [now(), None, ""]
                self.noted.append(entry)
                try:
                    connection.send(b"?")
                    entry[2] = connection.recv(65536).split()[0].decode()
                    entry[1] = True
                except OSError as error:
                    entry[1:] = [False, str(error)]
                sleep(0.05)


# --- the director

class Director:
    """lbd on the director, where this thread is from now on."""

    def __init__(self):
        enter("director")
        os.makedirs("/etc/lbd", exist_ok=True)
        self.watch = None
        self.processes = {}
        self.kind = "child"
        self.status_code = 0

    def write(self, text):
        """Replaces the desired file."""
        with open("/etc/lbd/.new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename("/etc/lbd/.new", "/etc/lbd/desired.yaml")

    def start(self, text, checker="child", known=True):
        """Starts the daemon with an empty table and no memory, and its checker, and waits until each server has passed."""
        sh("ipvsadm -C; rm -rf /var/lib/lbd/* /run/lbd /run/lbd-check /tmp/lbd.log; install -d -m 750 -o nobody /run/lbd-check")
        self.kind = checker
        self.write(text)
        self.restart("daemon")
        if checker == "separate":
            self.restart("checker")
        self.watch = Watch()
        self.until("a first pass", lambda status: status["in_sync"] and self.watch.seen and self.watch.table())
        if known:
            self.until("all pass", lambda status: status["health"]["unknown"] == 0 and status["health"]["failing"] == 0)
        return self.watch

    def restart(self, which):
        """Starts one of the two processes; the one before it has ended."""
        if which in self.processes:
            self.processes[which].wait()
        words = {"daemon": [LBD, "run", "--checker=none"] if self.kind == "separate" else [LBD, "run"], "checker": [LBD, "checker"]}[which]
        with open("/tmp/lbd.log", "a", encoding="ascii") as log:
            self.processes[which] = subprocess.Popen(words, stdout=log, stderr=log)

    def signal(self, which, name):
        """Sends a signal to one of the two."""
        self.processes[which].send_signal(getattr(signal, "SIG" + name))

    def stop(self):
        """Ends all."""
        for process in self.processes.values():
            process.terminate()
            process.wait()
        self.processes = {}
        self.watch.over = True
        self.watch.join()

    @staticmethod
    def run(command):
        """Runs a command on the director."""
        return sh(command)

    @staticmethod
    def validate():
        """What `lbd validate` says of the file."""
        return json.loads(sh(f"{LBD} validate -o json"))

    def bounds(self, name):
        """The times of a check that it documents."""
        return next(check for check in self.validate()["checks"] if check["name"] == name)

    def until(self, what, is_so, patience=40):
        """Waits until `lbd status` says something; its document."""
        end = now() + patience
        while True:
            done = subprocess.run([LBD, "status", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            document = json.loads(done.stdout) if done.stdout else None
            if document and is_so(document):
                self.status_code = done.returncode
                return document
            if now() > end:
                raise Failed(f"{what}: not within {patience} s: {done.stdout or done.stderr}")
            sleep(0.1)

    @staticmethod
    def edits():
        """The events."""
        return sh(f"{LBD} history --events").splitlines()

    @staticmethod
    def log():
        """What both processes have logged."""
        with open("/tmp/lbd.log", encoding="utf-8") as file:
            return file.read()
