#!/usr/bin/env python3
"""A starting point for a shim: it says hello, and of everything else that it is unimplemented.

    quorate-conformance run EL-01 --subject "shim:python3 shim.py" --allow-unimplemented

Then let `begin` start a member, and `turn` do all that is due. SHIM.md is the protocol's text.
"""

import json
import struct
import sys

PROTOCOL = 1
UNIMPLEMENTED = 89


def read_exactly(count):
    """So many bytes of standard input; None at its end."""
    data = b""
    while len(data) < count:
        more = sys.stdin.buffer.read(count - len(data))
        if not more:
            return None
        data += more
    return data


def read_frame():
    """The next frame as opcode, node and body; None when the suite is done."""
    head = read_exactly(4)
    if head is None:
        return None
    (length,) = struct.unpack("<I", head)
    rest = read_exactly(length)
    if rest is None:
        return None
    opcode, node = struct.unpack("<cH", rest[:3])
    return opcode.decode(), node, rest[3:]


def write_frame(opcode, node, body):
    """Puts a frame into standard output: bytes, or what becomes JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    sys.stdout.buffer.write(struct.pack("<IcH", 3 + len(body), opcode.encode(), node) + body)


def hello(body):
    if json.loads(body)["protocol"] != PROTOCOL:
        sys.exit(UNIMPLEMENTED)
    about = {
        "name": "my-shim",
        "version": "0.1.0",
        "about": "a starting point",
        # With "clients" beside it `C` comes: see `client`. Without, the suite has its own.
        # With "snapshots" disk requests `n` may be sent, and `B` may name one to begin with.
        "features": ["virtual_disk"],
    }
    write_frame("h", 0, about)


def begin(node, body):
    """Starts one life of a member from its configuration and what its disk holds."""
    # write_frame("k", node, {"refused": None})
    sys.exit(UNIMPLEMENTED)


def client(node, body):
    """Begins a client (o, JSON), or lays down a message (m, number, bytes) or its end (q)."""
    # write_frame("k", node, {"refused": None})   # to `o`
    # and in the client's next turn:
    # write_frame("c", node, b"a" + struct.pack("<QQ", number, sequence))
    # write_frame("c", node, b"o" + struct.pack("<QQ", sequence, position) + reply)
    sys.exit(UNIMPLEMENTED)


def turn(node, now):
    """Takes in what was laid down, does all that is due at this time, and says when it goes on."""
    # write_frame("D", node, endpoint + datagram)
    # write_frame("W", node, request)             # an append is answered by `w` at once
    # write_frame("S", node, committed_frame)     # answered by `s` at once
    write_frame("t", node, {"wake": None, "stopped": None, "ended": False})


def main():
    while (frame := read_frame()) is not None:
        opcode, node, body = frame
        if opcode == "H":
            hello(body)
        elif opcode == "B":
            begin(node, body)
        elif opcode == "C":
            client(node, body)
        elif opcode == "K":
            write_frame("k", node, {"refused": None})
        elif opcode == "T":
            turn(node, struct.unpack("<Q", body)[0])
        elif opcode in "DwQ":
            pass  # lay it down for the next turn
        else:
            sys.exit(UNIMPLEMENTED)
        sys.stdout.buffer.flush()


main()
