#!/usr/bin/python3
"""Reads the kernel's IPVS table, and listens to who writes it, without lbd and without ipvsadm: the tests' independent eye.

  ipvsnl.py dump                       the whole table of this network namespace as JSON, every attribute the kernel sends
  ipvsnl.py count REPORT CMD [ARG...]  runs CMD and writes to the file REPORT which netlink requests reached the kernel
                                       meanwhile, as JSON: {"ipvs": {"GET_SERVICE": 2}, "nftables": {}, "writes": 0}

`count` listens on an nlmon interface (it makes one named lab-nlmon where there is none), which shows all netlink traffic of
the namespace, whoever sent it. It exits with CMD's status, or with 125 when it cannot vouch for the count.
Only Python's standard library is used; the numbers are those of <linux/ip_vs.h>.
"""
import collections
import json
import os
import socket
import struct
import subprocess
import sys

NETLINK_NETFILTER, NETLINK_GENERIC = 12, 16
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2

IPVS_COMMANDS = [
    "UNSPEC", "NEW_SERVICE", "SET_SERVICE", "DEL_SERVICE", "GET_SERVICE", "NEW_DEST", "SET_DEST", "DEL_DEST", "GET_DEST",
    "NEW_DAEMON", "DEL_DAEMON", "GET_DAEMON", "SET_CONFIG", "GET_CONFIG", "SET_INFO", "GET_INFO", "ZERO", "FLUSH",
]
NFTABLES_MESSAGES = [
    "NEWTABLE", "GETTABLE", "DELTABLE", "NEWCHAIN", "GETCHAIN", "DELCHAIN", "NEWRULE", "GETRULE", "DELRULE", "NEWSET",
    "GETSET", "DELSET", "NEWSETELEM", "GETSETELEM", "DELSETELEM", "NEWGEN", "GETGEN", "TRACE", "NEWOBJ", "GETOBJ", "DELOBJ",
    "GETOBJ_RESET", "NEWFLOWTABLE", "GETFLOWTABLE", "DELFLOWTABLE", "GETRULE_RESET", "DESTROYTABLE", "DESTROYCHAIN",
    "DESTROYRULE", "DESTROYSET", "DESTROYSETELEM", "DESTROYOBJ", "DESTROYFLOWTABLE", "GETSETELEM_RESET",
]
NFNL_SUBSYS_NFTABLES = 10

AF = {socket.AF_INET: "inet", socket.AF_INET6: "inet6"}
FORWARDING = ["nat", "local", "tunnel", "direct", "bypass"]
TUNNELS = ["ipip", "gue", "gre"]


def attributes(data):
    """The (type, bytes) pairs of a run of netlink attributes."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            raise ValueError("broken netlink attribute")
        yield kind & 0x3FFF, data[at + 4:at + length]
        at += (length + 3) & ~3


def attribute(kind, data):
    """One attribute as bytes."""
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def messages(data):
    """The (type, flags, sequence, payload) tuples of a datagram."""
    at = 0
    while at + 16 <= len(data):
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data, at)
        if length < 16:
            raise ValueError("broken netlink message")
        yield kind, flags, sequence, data[at + 16:at + length]
        at += (length + 3) & ~3


class Ipvs:
    """A generic netlink socket that knows the IPVS family."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.socket.settimeout(20)
        self.socket.bind((0, 0))
        self.sequence = 0
        name = attribute(CTRL_ATTR_FAMILY_NAME, b"IPVS\0")
        reply = self.ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name)
        self.family = native(dict(attributes(reply[0]))[CTRL_ATTR_FAMILY_ID])

    def ask(self, family, command, payload=b"", dump=False):
        """Sends one request and returns the payloads of its replies; OSError where the kernel refuses."""
        self.sequence += 1
        body = struct.pack("=BBH", command, 1, 0) + payload
        flags = NLM_F_REQUEST | (NLM_F_DUMP if dump else NLM_F_ACK)
        self.socket.send(struct.pack("=IHHII", 16 + len(body), family, flags, self.sequence, 0) + body)
        replies = []
        while True:
            for kind, _, sequence, data in messages(self.socket.recv(1 << 20)):
                if sequence != self.sequence:
                    continue
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    code = struct.unpack_from("=i", data)[0]
                    if code < 0:
                        raise OSError(-code, "netlink command %d: %s" % (command, os.strerror(-code)))
                    return replies
                replies.append(data[4:])  # behind the generic netlink header

    def get(self, command, payload=b"", dump=False):
        return self.ask(self.family, IPVS_COMMANDS.index(command), payload, dump)



def native(data):
    return int.from_bytes(data, sys.byteorder)


def network(data):
    return int.from_bytes(data, "big")


def text(data):
    return data.rstrip(b"\0").decode()


def address(family, data):
    """The kernel always sends 16 bytes; an IPv4 address is the first four."""
    return socket.inet_ntop(family, data[:4] if family == socket.AF_INET else data)


def named(names, number):
    return names[number] if number < len(names) else number


def service(data):
    """A service's attributes in words, and the ones that name it, for asking for its servers."""
    raw = dict(attributes(data))
    family = native(raw.pop(1))
    found = {"family": AF.get(family, family)}
    identity = [attribute(1, struct.pack("=H", family))]
    if 5 in raw:  # a firewall mark: the kernel then sends no protocol, address and port
        identity.append(attribute(5, raw[5]))
        found["fwmark"] = native(raw.pop(5))
    else:
        identity += [attribute(kind, raw[kind]) for kind in (2, 3, 4)]
        found["protocol"] = native(raw.pop(2))
        found["address"] = address(family, raw.pop(3))
        found["port"] = network(raw.pop(4))
    found["scheduler"] = text(raw.pop(6))
    found["flags"], found["flags_mask"] = struct.unpack("=II", raw.pop(7))
    found["timeout"] = native(raw.pop(8))
    mask = raw.pop(9)  # IPv4: a mask in network order; IPv6: a prefix length, native
    found["netmask"] = socket.inet_ntoa(mask) if family == socket.AF_INET else native(mask)
    found["persistence_engine"] = text(raw.pop(11)) if 11 in raw else None
    found.update(rest(raw))
    return found, attribute(1, b"".join(identity))


def server(data):
    """A real server's attributes in words."""
    raw = dict(attributes(data))
    family = native(raw.pop(11))
    found = {
        "family": AF.get(family, family),
        "address": address(family, raw.pop(1)),
        "port": network(raw.pop(2)),
        "forward": named(FORWARDING, native(raw.pop(3))),
        "weight": struct.unpack("=i", raw.pop(4))[0],
        "upper_threshold": native(raw.pop(5)),
        "lower_threshold": native(raw.pop(6)),
        "active_connections": native(raw.pop(7)),
        "inactive_connections": native(raw.pop(8)),
        "persistent_connections": native(raw.pop(9)),
        "tunnel_type": named(TUNNELS, native(raw.pop(13))),
        "tunnel_port": network(raw.pop(14)),
        "tunnel_flags": native(raw.pop(15)),
    }
    found.update(rest(raw))
    return found


def rest(raw):
    """Attributes that this program has no name for are shown, not dropped; the counters (10, 12) are left out, they never rest."""
    return {"attribute_%d" % kind: data.hex() for kind, data in sorted(raw.items()) if kind not in (0, 10, 12)}


def daemon(data):
    raw = dict(attributes(data))
    found = {
        "role": {1: "master", 2: "backup"}.get(native(raw[1]), native(raw[1])),
        "interface": text(raw[2]),
        "id": native(raw[3]),
        "max_length": native(raw[4]),
        "group": address(socket.AF_INET, raw[5]) if 5 in raw else address(socket.AF_INET6, raw[6]),
        "port": native(raw[7]),  # native order, unlike all other ports
        "ttl": native(raw[8]),
    }
    return found


def dump():
    """The whole table; servers stay in the kernel's order (newest first), services are sorted."""
    ipvs = Ipvs()
    info = dict(attributes(ipvs.get("GET_INFO")[0]))
    config = dict(attributes(ipvs.get("GET_CONFIG")[0]))
    version = native(info[1])
    services = []
    for reply in ipvs.get("GET_SERVICE", dump=True):
        found, identity = service(dict(attributes(reply))[1])
        servers = ipvs.get("GET_DEST", identity, dump=True)
        found["servers"] = [server(dict(attributes(one))[2]) for one in servers]
        services.append(found)
    services.sort(key=lambda one: json.dumps(one, sort_keys=True))
    return {
        "version": "%d.%d.%d" % (version >> 16 & 255, version >> 8 & 255, version & 255),
        "timeouts": {"tcp": native(config[4]), "tcp_fin": native(config[5]), "udp": native(config[6])},
        "sync": [daemon(dict(attributes(one))[3]) for one in ipvs.get("GET_DAEMON", dump=True)],
        "services": services,
    }


class Listener:
    """All netlink messages of this namespace, through an nlmon interface."""

    NAME = "lab-nlmon"
    ETH_P_ALL, SO_RCVBUFFORCE, SOL_PACKET, PACKET_STATISTICS = 3, 33, 263, 6

    def __init__(self):
        try:
            socket.if_nametoindex(self.NAME)
        except OSError:
            subprocess.run(["ip", "link", "add", self.NAME, "type", "nlmon"], check=True)
        subprocess.run(["ip", "link", "set", self.NAME, "up"], check=True)
        self.family = Ipvs().family
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(self.ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, self.SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((self.NAME, self.ETH_P_ALL))
        self.socket.setblocking(False)

    def count(self):
        """What was heard, by command. A message is on the socket before its sender's call returns, so nothing is waited for."""
        ipvs, nftables = collections.Counter(), collections.Counter()
        while True:
            try:
                data, (_, protocol, _, _, _) = self.socket.recvfrom(1 << 20)
            except BlockingIOError:
                break
            for kind, flags, _, payload in messages(data):
                if not flags & NLM_F_REQUEST:  # the kernel's replies carry no such flag
                    continue
                if protocol == NETLINK_GENERIC and kind == self.family:
                    ipvs[named(IPVS_COMMANDS, payload[0])] += 1
                elif protocol == NETLINK_NETFILTER and kind >> 8 == NFNL_SUBSYS_NFTABLES:
                    nftables[named(NFTABLES_MESSAGES, kind & 255)] += 1
        _, lost = struct.unpack("=II", self.socket.getsockopt(self.SOL_PACKET, self.PACKET_STATISTICS, 8))
        if lost:
            raise RuntimeError("%d netlink messages were not heard" % lost)
        writes = sum(many for name, many in (*ipvs.items(), *nftables.items()) if not str(name).startswith("GET"))
        return {"ipvs": ipvs, "nftables": nftables, "writes": writes}

    def prove(self):
        """A listener that hears nothing would find every program silent: our own question must be heard."""
        Ipvs().get("GET_INFO")
        heard = self.count()
        if heard["ipvs"] != {"GET_INFO": 1}:
            raise RuntimeError("the listener heard %r instead of one GET_INFO" % (heard,))


def count(report, command):
    listener = Listener()
    listener.prove()
    status = subprocess.run(command).returncode
    with open(report, "w") as file:
        json.dump(listener.count(), file)
    return status if status >= 0 else 128 - status


def main(arguments):
    if arguments == ["dump"]:
        print(json.dumps(dump(), indent=1))
        return 0
    if len(arguments) >= 3 and arguments[0] == "count":
        try:
            return count(arguments[1], arguments[2:])
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print("ipvsnl.py: %s" % error, file=sys.stderr)
            return 125
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
