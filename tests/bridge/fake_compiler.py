"""A compiler that speaks LLVM's channel and misbehaves, for fault tests alone.

    python -I -S fake_compiler.py BASE MODE [COUNT]

The standard library is all it needs, so that a thousand of them start quickly. It
answers its own questions in its head: the advice to (a, b) is a + b, and whoever sends
another one, or of another size, makes it exit with status 9.
"""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import time

FEATURES = [("a", "int64_t"), ("b", "int64_t")]
ADVICE = ("sum", "int64_t")


def spec(name, type_):
    return {"name": name, "type": type_, "port": 0, "shape": [1]}


PLAIN = {"features": [spec(*f) for f in FEATURES], "advice": spec(*ADVICE)}
HEADER = json.dumps(PLAIN).encode() + b"\n"


class Channel:
    def __init__(self, base):
        # As LLVM does: first what is read, then what is written.
        self.input = open(base + ".in", "rb", buffering=0)
        self.output = open(base + ".out", "wb", buffering=0)

    def say(self, data):
        self.output.write(data)

    def drip(self, data):
        for at in range(len(data)):
            self.output.write(data[at : at + 1])
            if at % 7 == 0:
                time.sleep(0.0005)

    def answer(self):
        data = b""
        while len(data) < 8:
            # End of file spins here, as in LLVM.
            data += self.input.read(8 - len(data))
        return struct.unpack("<q", data)[0]


def question(number, a, b):
    return b'{"observation":%d}\n' % number + struct.pack("<qq", a, b) + b"\n"


def converse(channel, count, say):
    rng = random.Random(count)
    say(HEADER + b'{"context":"f"}\n')
    for number in range(count):
        a, b = rng.randrange(1 << 40), rng.randrange(1 << 40)
        say(question(number, a, b))
        if channel.answer() != a + b:
            sys.exit(9)


def main():
    base, mode = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    if mode == "exit":
        return 0
    if mode == "hang":
        time.sleep(600)
    if mode == "spin":
        while True:
            pass
    if mode == "no channel":
        return 1
    if mode == "half open":
        open(base + ".in", "rb", buffering=0)
        return 0
    channel = Channel(base)
    say = channel.drip if mode == "one byte" else channel.say
    if mode == "no question":
        say(HEADER)
        return 0
    if mode == "garbage":
        say(random.Random(count).randbytes(5_000))
        time.sleep(600)
    if mode == "half header":
        say(HEADER[: len(HEADER) // 2])
        return 0
    if mode == "grandchild":
        subprocess.Popen(["sleep", "600"])
    converse(channel, count, say)
    misbehave(channel, mode, count)
    return 3 if mode == "status" else 0


def misbehave(channel, mode, count):
    say, more = channel.say, question(count, 1, 2)
    if mode == "mid tensor":
        say(more[:-9])
    elif mode == "mid tensor, killed":
        say(more[:-9])
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "second header":
        say(HEADER + question(0, 1, 2))
        channel.answer()
    elif mode == "impatient":
        say(more)
    elif mode == "asks twice":
        say(more + question(count + 1, 3, 4))
        channel.answer()
    elif mode == "wrong number":
        say(question(count + 7, 1, 2))
        channel.answer()
    elif mode == "hang in question":
        say(more[:-1])
        time.sleep(600)
    elif mode == "hang after all":
        time.sleep(600)
    elif mode == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif mode == "flood":
        while True:
            say(more * 1000)
    elif mode == "endless":
        for number in range(count, 1 << 40):
            say(question(number, 1, 2))
            channel.answer()
    elif mode == "long line":
        while True:
            say(b"x" * 65536)


if __name__ == "__main__":
    sys.exit(main())
