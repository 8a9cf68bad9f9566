"""A real etcd for the proofs of a fleet: three members with TLS, client certificates and roles on this host's loopback, and ways to break them.

Needs Debian's packages etcd-server, etcd-client and openssl. All processes end with this one, however it ends.
"""
import atexit
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

# Debian starts etcd as a service when it is installed; these have ports and directories of their own.
READY_S = 20
PATIENCE_S = 10
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A proof that fails."""


def expect(what, is_so, *facts):
    """A fact that the proof needs."""
    if not is_so:
        raise Failed(": ".join([what, *map(str, facts)]))


def until(what, seconds, is_so):
    """Waits until something is so; gives what it gave, and after how many seconds."""
    began = time.monotonic()
    while True:
        found = is_so()
        after = time.monotonic() - began
        if found:
            return found, after
        expect(f"{what} within {seconds} s", after < seconds)
        time.sleep(0.05)


def run(*command, **options):
    """Runs a program to its end; what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    expect(" ".join(command), done.returncode == 0, done.returncode, done.stdout)
    return done.stdout


def free_ports(number):
    """Ports that nothing listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def mortal():
    """Called in a new process: it ends when the one that has started it does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command, log, **options):
    """Starts a program that goes on; what it prints goes into that file."""
    with open(log, "ab") as out:
        # A process dies with the thread that has started it: this is for the main thread.
        return subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=mortal, **options)


class Certificates:
    """An authority, and what it signs, in a directory."""

    def __init__(self, directory):
        self.directory = directory
        os.mkdir(directory, 0o700)
        self.ca = self.path("ca.crt")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=authority",
            "-keyout", self.path("ca.key"), "-out", self.ca)

    def path(self, name):
        """A file in the directory."""
        return os.path.join(self.directory, name)

    def make(self, name, alternatives=""):
        """A certificate with this common name, for these hosts (`IP:127.0.0.1,DNS:localhost`); the files of it and of its key."""
        certificate, key, request = (self.path(f"{name}.{end}") for end in ("crt", "key", "csr"))
        if os.path.exists(certificate):
            return certificate, key
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        lines = ["basicConstraints = CA:false", "extendedKeyUsage = clientAuth, serverAuth"]
        lines += [f"subjectAltName = {alternatives}"] if alternatives else []
        with open(self.path(f"{name}.ext"), "w", encoding="utf-8") as out:
            out.write("\n".join(lines))
        run("openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days", "30",
            "-extfile", self.path(f"{name}.ext"), "-out", certificate)
        return certificate, key


class Member:
    """A member of the cluster."""

    def __init__(self, name, host, certificate, port, peer, scheme):
        self.name, self.certificate, self.port = name, certificate, port
        self.address = f"{scheme}://{host}:{port}"
        self.peer = f"https://127.0.0.1:{peer}"
        self.process = None


class Cluster:
    """Three members of etcd. `with Cluster() as cluster:` starts and ends them."""

    # By an address, by a name, and by both.
    HOSTS = [("127.0.0.1", "IP:127.0.0.1"), ("localhost", "DNS:localhost"), ("127.0.0.1", "IP:127.0.0.1,DNS:localhost")]

    def __init__(self, quota=None, options=(), is_plain=False):
        self._directory = tempfile.TemporaryDirectory(prefix="lbd-etcd-")
        self.directory = self._directory.name
        self.certificates = Certificates(os.path.join(self.directory, "certificates"))
        self.options = list(options) + ([f"--quota-backend-bytes={quota}"] if quota else [])
        self.others = []
        # Without TLS, and so without users, another part of etcd has the connections.
        self.is_plain = is_plain
        ports = free_ports(2 * len(self.HOSTS))
        self.members = []
        for number, (host, alternatives) in enumerate(self.HOSTS):
            name = f"member{number + 1}"
            self.certificates.make(name, alternatives)
            self.members.append(Member(name, host, self.certificates.path(name), ports[2 * number], ports[2 * number + 1],
                                       "http" if is_plain else "https"))
        self.certificates.make("peer", "IP:127.0.0.1")
        self.certificates.make("root")
        atexit.register(self.stop)

    def __enter__(self):
        for member in self.members:
            self.start(member, is_new=True)
        until("etcd has started", READY_S, self.leader)
        return self

    def __exit__(self, *_):
        self.stop()

    def path(self, name):
        """A file in the cluster's directory."""
        return os.path.join(self.directory, name)

    def start(self, member, is_new=False):
        """Starts a member; `is_new`: for the first time."""
        certificates, peer = self.certificates, self.certificates.path("peer")
        cluster = ",".join(f"{other.name}={other.peer}" for other in self.members)
        command = [
            "etcd", "--name", member.name, "--data-dir", self.path(member.name), "--log-level", "error",
            "--listen-client-urls", member.address.replace("localhost", "127.0.0.1"), "--advertise-client-urls", member.address,
            "--listen-peer-urls", member.peer, "--initial-advertise-peer-urls", member.peer,
            "--peer-cert-file", peer + ".crt", "--peer-key-file", peer + ".key",
            "--peer-trusted-ca-file", certificates.ca, "--peer-client-cert-auth",
            "--initial-cluster", cluster, "--initial-cluster-state", "new" if is_new else "existing", *self.options,
        ]
        if not self.is_plain:
            command += ["--cert-file", member.certificate + ".crt", "--key-file", member.certificate + ".key",
                        "--trusted-ca-file", certificates.ca, "--client-cert-auth"]
        member.process = start(command, self.path(member.name + ".log"))

    def stop(self):
        """Ends all that was started, and removes the directory."""
        processes = [member.process for member in self.members] + self.others
        for process in filter(None, processes):
            process.kill()
            process.wait()
        self._directory.cleanup()

    # --- looks

    def alive(self):
        """The members that run, frozen ones too."""
        return [member for member in self.members if member.process.poll() is None]

    def etcdctl(self, *arguments, user="root", member=None, patience=PATIENCE_S):
        """Runs `etcdctl` as this user; what it prints."""
        return run("etcdctl", *arguments, env=self.environment(user, member, patience))

    def environment(self, user="root", member=None, patience=PATIENCE_S):
        """What etcdctl reads."""
        certificate, key = self.certificates.make(user)
        addresses = ",".join(one.address for one in ([member] if member else self.members))
        return {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": addresses, "ETCDCTL_CACERT": self.certificates.ca, "ETCDCTL_CERT": certificate,
                "ETCDCTL_KEY": key, "ETCDCTL_COMMAND_TIMEOUT": f"{patience}s", "ETCDCTL_DIAL_TIMEOUT": f"{patience}s"}

    def status(self, member):
        """What a member says of itself; nothing where it does not answer."""
        try:
            return json.loads(self.etcdctl("endpoint", "status", "-w", "json", member=member, patience=1))[0]["Status"]
        except (Failed, ValueError, IndexError, KeyError):
            return None

    def leader(self):
        """The member that leads, as the first that answers and knows one says; nothing where there is none."""
        known = [(member, self.status(member)) for member in self.alive()]
        leaders = [status["leader"] for _, status in known if status and status.get("leader")]
        return next((member for member, status in known if status and status["header"]["member_id"] in leaders), None)

    def follower(self):
        """A member that does not lead."""
        leader, _ = until("there is a leader", READY_S, self.leader)
        return next(member for member in self.alive() if member is not leader)

    # --- users, and what is recorded

    def enable(self, commands):
        """Makes users and roles with these commands of a shell, and has them count."""
        run("sh", "-eu", input=commands, env=self.environment())
        for command in ("user add root --no-password", "user grant-role root root", "auth enable"):
            self.etcdctl(*command.split())

    def record(self, prefix, file):
        """Writes all that changes below a prefix into a file, from the next revision on: a JSON document a line."""
        # On a busy machine a member is slow, which is no reason to end the record.
        patient = ["--keepalive-time=1m", "--keepalive-timeout=5m"]
        with open(file, "wb") as out:
            process = subprocess.Popen(["etcdctl", *patient, "watch", "--prefix", prefix, "-w", "json"], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.DEVNULL, env=self.environment(), preexec_fn=mortal)
        self.others.append(process)
        return process

    # --- failures

    @staticmethod
    def kill(member):
        """kill -9."""
        member.process.kill()
        member.process.wait()

    @staticmethod
    def freeze(member):
        """The kernel goes on to accept connections for it; nothing is answered."""
        member.process.send_signal(signal.SIGSTOP)

    @staticmethod
    def thaw(member):
        """It goes on."""
        member.process.send_signal(signal.SIGCONT)

    def compact(self):
        """Forgets all but the newest revision; gives its number."""
        revision = max(self.status(member)["header"]["revision"] for member in self.alive())
        self.etcdctl("compact", str(revision))
        return revision


class Proxy:
    """Carries bytes between who connects and a member, until it is frozen: as a network that loses all packets does, without a word."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.is_frozen = False
        self.ends = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def freeze(self):
        """Nothing is carried any more, and new connections lead nowhere."""
        self.is_frozen = True

    def thaw(self):
        """All is carried again, what came meanwhile too."""
        self.is_frozen = False

    def stop(self):
        """Ends all connections."""
        self.ends.set()

    def _serve(self):
        other, near = {}, {self.listener}
        while not self.ends.is_set():
            if self.is_frozen:
                time.sleep(0.02)
                continue
            for ready in select.select(list(near | set(other)), [], [], 0.05)[0]:
                if self.is_frozen:
                    break
                if ready is self.listener:
                    one, _ = self.listener.accept()
                    try:
                        two = socket.create_connection(self.target)
                    except OSError:
                        one.close()
                        continue
                    other[one], other[two] = two, one
                elif ready in other and not self._carry(ready, other[ready]):
                    for end in (ready, other[ready]):
                        end.close()
                        del other[end]
        for end in [self.listener, *other]:
            end.close()

    @staticmethod
    def _carry(source, to):
        try:
            data = source.recv(65536)
            to.sendall(data)
        except OSError:
            return False
        return bool(data)
