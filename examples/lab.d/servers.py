#!/usr/bin/python3
"""The labs' real servers: one process with sockets in the network namespaces of several hosts, since each process costs time there.

  servers.py HOST PORT... [HOST PORT...]...       PORT is 80 for a web server, udp:53 for one that answers datagrams, or lines:7000 for
                                                  one that answers each line of a connection and closes none

Each answers with its name, its port and who asks: "rs1 port 80, asked by 10.0.0.12". The path /big gets 500,000 bytes more.
The path /healthz gets the status that is in /tmp/health-HOST, where there is such a file, else 200.
Returns when all of them listen.
"""
import contextlib
import ctypes
import os
import selectors
import socket
import sys

CLONE_NEWNET = 0x40000000
SOCKETS = selectors.DefaultSelector()


def enter(host):
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/run/netns/" + host) as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter " + host)


def words(host, port, client):
    return ("%s port %d, asked by %s\n" % (host, port, client[0].removeprefix("::ffff:"))).encode()


def status(request, host):
    if b" /healthz " in request:
        with contextlib.suppress(FileNotFoundError), open("/tmp/health-" + host, encoding="ascii") as file:
            return file.read().strip() + " Unwell"
    return "200 OK"


def answer_request(listener, host, port):
    connection, client = listener.accept()
    with connection:
        connection.settimeout(5)
        try:
            request = connection.recv(65536)
            body = words(host, port, client)
            if b" /big " in request:
                body += b"." * 500000
            head = "HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n" % (status(request, host), len(body))
            connection.sendall(head.encode() + body)
        except OSError as error:
            print("%s port %d: %s" % (host, port, error), file=sys.stderr)


def answer_datagram(listener, host, port):
    _, client = listener.recvfrom(65536)
    listener.sendto(words(host, port, client), client)


def take_connection(listener, host, port):
    SOCKETS.register(listener.accept()[0], selectors.EVENT_READ, (answer_line, host, port))


def answer_line(connection, host, port):
    try:
        if connection.recv(65536):
            connection.sendall(words(host, port, connection.getpeername()))
            return
    except OSError as error:
        print("%s port %d: %s" % (host, port, error), file=sys.stderr)
    SOCKETS.unregister(connection)
    connection.close()


ANSWERS = {"": answer_request, "udp": answer_datagram, "lines": take_connection}


def listen(word):
    """Both families at once, on all addresses of the host, also on those that it gets later."""
    kind, _, port = word.rpartition(":")
    answer, port = ANSWERS[kind], int(port)
    kind = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    listener = socket.socket(socket.AF_INET6, kind)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        listener.listen()
    return listener, answer, port


def main(arguments):
    host = None
    for word in arguments:
        if word.rpartition(":")[2].isdigit():
            listener, answer, port = listen(word)
            SOCKETS.register(listener, selectors.EVENT_READ, (answer, host, port))
        else:
            host = word
            enter(host)
    if os.fork():
        os._exit(0)
    while True:
        for key, _ in SOCKETS.select():
            answer, host, port = key.data
            answer(key.fileobj, host, port)


if __name__ == "__main__":
    main(sys.argv[1:])
