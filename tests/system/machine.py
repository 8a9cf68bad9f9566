"""A machine for tests: boots a copy of the disk image under User Mode Linux and runs scripts in it over its serial line."""

import base64
import fcntl
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import threading
import time


class Down(Exception):
    """The machine did not come up, went away, or gave no answer in time."""


class Failed(Exception):
    """A script in the machine ended with another status than 0."""


def free_processor(directory):
    """A processor that no other lab is bound to, and what keeps it; with more labs than processors, any of them. (tests/lab/uml/backend says why.)"""
    os.makedirs(directory, exist_ok=True)
    processors = sorted(os.sched_getaffinity(0))
    for processor in processors:
        lock = open(os.path.join(directory, f"processor.{processor}"), "w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return processor, lock
        except BlockingIOError:
            lock.close()
    return random.choice(processors), None


class Machine:
    """One virtual machine with a disk of its own; `files` lie in the directory /files of the guest from the first boot on."""

    # Scripts find these functions.
    PRELUDE = ""

    def __init__(self, image, run, lab, files=()):
        self.run_directory = run
        self.processor, self.lock = free_processor(lab)
        self.disk = os.path.join(run, "root.ext4")
        self.console = os.path.join(run, "console")
        self.answers = queue.Queue()
        self.serial = 0
        self.boot = None
        self.process = None
        subprocess.run(["cp", "--sparse=always", image, self.disk], check=True)
        self.tar = os.path.join(run, "files.tar")
        directory = os.path.join(run, "files")
        os.mkdir(directory)
        for name in files:
            shutil.copy(name, directory)
        subprocess.run(["tar", "-C", run, "-cf", self.tar, "files"], check=True)

    def start(self):
        """Switches the machine on and waits until it listens."""
        registers = os.path.join(os.path.dirname(__file__), "..", "lab", "uml", "registers")
        built = subprocess.run([registers], stdout=subprocess.PIPE, text=True, check=True)
        environment = dict(os.environ, LC_ALL="C", LD_PRELOAD=built.stdout.strip())
        shm = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
        # The guest's memory is a sparse file; containers often have a tiny /dev/shm.
        if shm is None or shm.f_bavail * shm.f_frsize < 1 << 30:
            environment["TMPDIR"] = self.run_directory
        command = [
            "taskset", "-c", str(self.processor), "linux.uml", "mem=512M", "root=/dev/ubda", f"ubd0={self.disk}", f"ubd1={self.tar}", "rw",
            # The console goes to a file; serial line 0 is our pipes.
            "con=null", "con0=null,fd:2", "console=tty0", "ssl=null", "ssl0=fd:0,fd:1", "lab.tty=/dev/ttyS0",
            f"uml_dir={self.run_directory}", "umid=machine",
            "quiet", "loglevel=4", "systemd.show_status=0", "panic=-1", "lpj=20000000",
            "initcall_blacklist=raid6_select_algo,calibrate_xor_blocks",
        ]
        with open(self.console, "ab") as console:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=console, env=environment,
                start_new_session=True)
        # Ends the kernel and its helpers when we are gone, also by kill -9.
        self.guard = subprocess.Popen(
            ["sh", "-c", 'tail -f /dev/null --pid="$1" & wait $!; kill -9 -- "-$2"', "guard", str(os.getpid()),
             str(self.process.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        threading.Thread(target=self._listen, args=(self.process, self.answers), daemon=True).start()
        self._hello(120)
        self.run("mkdir -p /files; tar -C / -xf /dev/ubdb")

    def _listen(self, process, answers):
        for line in process.stdout:
            found = re.search(r"(HELLO|RES) .*", line.decode("utf-8", "replace").strip("\r\n\0 "))
            if found:
                answers.put(found.group(0).split(" "))
        answers.put(["END"])

    def _answer(self, timeout, what):
        try:
            answer = self.answers.get(timeout=max(0.01, timeout))
        except queue.Empty:
            raise Down(f"no answer in time: {what}") from None
        if answer[0] == "END":
            raise Down(f"the machine is off: {what}")
        return answer

    def _hello(self, timeout):
        end = time.monotonic() + timeout
        while True:
            answer = self._answer(end - time.monotonic(), "booting")
            if answer[0] == "HELLO":
                if answer[1] == self.boot:
                    raise Down("the same boot as before: it did not reboot")
                self.boot = answer[1]
                return

    def _send(self, verb, text):
        self.serial += 1
        self.process.stdin.write(b"%s %d %s\n" % (verb, self.serial, text))
        self.process.stdin.flush()
        return self.serial

    def _result(self, serial, timeout, what):
        end = time.monotonic() + timeout
        while True:
            answer = self._answer(end - time.monotonic(), what)
            if answer[0] == "RES" and int(answer[1]) == serial:
                output = base64.b64decode(answer[3] if len(answer) > 3 else "").decode("utf-8", "replace")
                return int(answer[2]), output

    def _submit(self, script):
        text = base64.b64encode((self.PRELUDE + script).encode())
        # See tests/system/agent for the length.
        while len(text) > 2400:
            self._result(self._send(b"PART", text[:2400]), 60, "sending")
            text = text[2400:]
        return self._send(b"RUN", text)

    def status(self, script, timeout=60):
        """Runs a script (bash, as root); its exit status and its output, both streams."""
        return self._result(self._submit(script), timeout, script)

    def run(self, script, timeout=60):
        """Runs a script that must succeed; its output."""
        status, output = self.status(script, timeout)
        if status != 0:
            raise Failed(f"exit status {status} of: {script.strip()}\n{output.strip()}")
        return output

    def reboot(self):
        """Reboots as an operator does, and waits until the machine listens again."""
        self._submit("systemctl reboot")
        self._hello(180)

    def power_cut(self):
        """The machine vanishes in the middle of whatever it does, and is switched on again."""
        self.kill()
        self.answers = queue.Queue()
        self.start()

    def kill(self):
        """Switches off. The kernel's helpers and the guest's processes are in its process group."""
        if self.process is None:
            return
        for process in (self.process, self.guard):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.process = None
