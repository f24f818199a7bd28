"""gRPC in the place of the bridge, for scripts/bench_bridge, in its environment.

    python bridge_grpc.py measure SIZE,COUNT …    prints JSON: {way: {size: numbers}}
    python bridge_grpc.py serve ADDRESS

A client in one process asks a server in another one, as a compiler asks a policy. The
answer is one whole number. Ways:

unary, TCP     raw bytes both ways, no protobuf
unary, unix    the same over a socket in the file system
stream, unix   one call for all questions, which is gRPC at its best
step           CompilerGym's shape: an RPC a step over TCP, protobuf both ways
"""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ANSWER = (7).to_bytes(8, "little")
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def messages() -> tuple[Any, Any]:
    """message Observation { repeated int64 values = 1; }
    message Action { int64 out = 1; }"""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="step", syntax="proto3")
    for name, field, label in (
        ("Observation", "values", kinds.LABEL_REPEATED),
        ("Action", "out", kinds.LABEL_OPTIONAL),
    ):
        message = file.message_type.add(name=name)
        message.field.add(name=field, number=1, type=kinds.TYPE_INT64, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = [pool.FindMessageTypeByName(name) for name in ("Observation", "Action")]
    observation, action = map(message_factory.GetMessageClass, found)
    return observation, action


def serve(address: str) -> None:
    observation, action = messages()

    def answer(request: bytes, context: Any) -> bytes:
        np.frombuffer(request, np.int64)
        return ANSWER

    def answers(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            yield answer(request, context)

    def step(request: Any, context: Any) -> Any:
        np.array(request.values, np.int64)
        return action(out=7)

    handlers = {
        "unary": grpc.unary_unary_rpc_method_handler(answer),
        "stream": grpc.stream_stream_rpc_method_handler(answers),
        "step": grpc.unary_unary_rpc_method_handler(
            step,
            request_deserializer=observation.FromString,
            response_serializer=action.SerializeToString,
        ),
    }
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
    server = grpc.server(pool, options=OPTIONS)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("policy", handlers)]
    )
    port = server.add_insecure_port(address)
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def measure(sizes: dict[int, int]) -> dict[str, dict[int, list[float]]]:
    with tempfile.TemporaryDirectory() as folder:
        unix = f"unix:{folder}/s"
        found = {}
        for way, address, ask in (
            ("unary, TCP", "127.0.0.1:0", unary),
            ("unary, unix", unix, unary),
            ("stream, unix", unix, stream),
            ("step, TCP, protobuf", "127.0.0.1:0", step),
        ):
            found[way] = with_server(address, ask, sizes)
    return found


def with_server(
    address: str, ask: Callable[..., Any], sizes: dict[int, int]
) -> dict[int, list[float]]:
    words = [sys.executable, __file__, "serve", address]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(
            address.replace(":0", f":{port}"), options=OPTIONS
        ) as channel:
            return {size: ask(channel, size, count) for size, count in sizes.items()}
    finally:
        process.kill()
        process.wait()


def timed(call: Callable[[np.ndarray], Any], size: int, count: int) -> list[float]:
    """(median, sum, number) of round trips, seconds."""
    values = np.random.default_rng(0).integers(-1000, 1000, size)
    for _ in range(3):
        call(values)
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        call(values)
        took.append(time.perf_counter() - begun)
    return [sorted(took)[len(took) // 2], sum(took), count]


def unary(channel: Any, size: int, count: int) -> list[float]:
    call = channel.unary_unary("/policy/unary")
    return timed(lambda values: call(values.tobytes()), size, count)


def step(channel: Any, size: int, count: int) -> list[float]:
    observation, action = messages()
    call = channel.unary_unary(
        "/policy/step",
        request_serializer=observation.SerializeToString,
        response_deserializer=action.FromString,
    )
    return timed(lambda v: call(observation(values=v.tolist())), size, count)


def stream(channel: Any, size: int, count: int) -> list[float]:
    import queue

    questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    answers = channel.stream_stream("/policy/stream")(iter(questions.get, None))

    def ask(values: np.ndarray) -> None:
        questions.put(values.tobytes())
        next(answers)

    found = timed(ask, size, count)
    questions.put(None)
    return found


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        pairs = [word.split(",") for word in sys.argv[2:]]
        print(json.dumps(measure({int(size): int(count) for size, count in pairs})))
