"""Answers in one piece.

Spin sends what it has when it sees the response, and what comes later in a packet of its own, which
may wait 40 ms for the client. So the length is said, the write of the body begins in the same turn
in which the response is returned, and the writer of the trailers is kept until it has ended.
"""

import json as encoder
from http import HTTPStatus

import componentize_py_async_support as tasks
import wit_world
from componentize_py_async_support.streams import ByteStreamWriter
from componentize_py_types import Ok
from wit_world.imports.wasi_http_types import Fields, Response


def json(status: int, body: dict) -> Response:
    return _answer(status, body, {"content-type": "application/json"})


def problem(status: int, detail: str, **headers: str) -> Response:
    """RFC 9457."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return _answer(status, body, {"content-type": "application/problem+json", **headers})


def _answer(status: int, body: dict, headers: dict[str, str]) -> Response:
    content = encoder.dumps(body).encode()
    headers = {**headers, "content-length": str(len(content))}
    fields = Fields.from_list([(name, value.encode()) for name, value in headers.items()])
    writer, reader = wit_world.byte_stream()
    trailers_writer, trailers = _trailers()
    response, _ = Response.new(fields, reader, trailers)
    response.set_status_code(status)
    tasks.spawn(_write(writer, content, trailers_writer))
    return response


async def _write(writer: ByteStreamWriter, content: bytes, trailers) -> None:
    with writer:
        await writer.write_all(content)
    # Not before: without a writer the trailers are there before the body, and the head leaves alone.
    del trailers


def _trailers():
    # Named after its type. What is not written is the default.
    future = (
        wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future
    )
    return future(lambda: Ok(None))
