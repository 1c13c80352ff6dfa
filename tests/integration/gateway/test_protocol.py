"""What a stranger may say around a request, on a real socket."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from axis.gateway import bodies
from axis.gateway.protocol import BoundedHttp
from axis.gateway.tls import _NO_CHECK_TIME, Tls, believing
from tests.integration.gateway.conftest import write_pair
from tests.province import Province

_SOON_S = 10.0
_LARGE_BYTES = 20_000_000  # More than the kernel takes in for who does not read.


class _Hasty(BoundedHttp):
    head_within_s = 0.3
    silence_s = 0.3


class _LessHasty(BoundedHttp):
    head_within_s = 1.0  # For a request that must not come too late.


@asynccontextmanager
async def _served(
    protocol: type[BoundedHttp], *, most: int | None = None, tls: Tls | None = None, heard: Any = None
) -> AsyncIterator[int]:
    async def length(request: Request) -> Response:
        if heard is not None:
            heard.append(request.scope.get("extensions"))
        return Response(str(len(await request.body())))

    async def names(request: Request) -> Response:
        await request.body()
        return Response(b" ".join(name for name, _ in request.scope["headers"]))

    async def at_once(_: Request) -> Response:
        return Response("no", 401)

    async def large(_: Request) -> Response:
        return Response(bytes(_LARGE_BYTES))

    served = {"/": length, "/names": names, "/at-once": at_once, "/large": large}
    app = Starlette(routes=[Route(path, answer, methods=["POST"]) for path, answer in served.items()])
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            http=protocol,
            log_config=None,
            lifespan="off",
            limit_concurrency=most,
            ssl_context_factory=None if tls is None else lambda *_: tls.listening,
        )
    )
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - It rings no bell.
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def _say(port: int, *pieces: bytes, trusting: ssl.SSLContext | None = None) -> bytes:
    """Say something; return all that is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    try:
        async with asyncio.timeout(_SOON_S):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:  # It ended while something was on its way.
        return b""


async def test_request_of_any_size_is_read_and_its_head_has_an_end() -> None:
    async with _served(BoundedHttp) as port:
        post = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n"
        assert (await _say(port, post + bytes(3_000_000))).endswith(b"3000000")
        assert (await _say(port, post[:30], post[30:], *[bytes(30_000)] * 100)).endswith(b"3000000")
        padded = post.replace(b"Host", b"X: " + b"y" * 50_000 + b"\r\nHost")
        assert (await _say(port, padded, bytes(3_000_000))).endswith(b"3000000")
        assert await _say(port, b"POST / HTTP/1.1\r\nX: ", *[b"y" * 60_000] * 50) == b""
        assert await _say(port, b"GET /", *[b"y" * 60_000] * 50) == b""


def _problem(answer: bytes) -> bodies.Problem:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert f"content-length: {len(body)}".encode() in head.lower()
    problem = bodies.Problem.model_validate_json(body)
    assert head.startswith(f"HTTP/1.1 {problem.status} ".encode())
    return problem


async def test_what_is_no_http_is_told_so_as_a_problem() -> None:
    async with _served(BoundedHttp) as port:
        assert _problem(await _say(port, b"EHLO axis\r\n\r\n")).code == "API.PARAMETER"


async def test_connection_beyond_the_most_is_told_so_as_a_problem() -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    async with _served(BoundedHttp, most=2) as port:
        assert (await _say(port, post)).endswith(b"1")
        _, held = await asyncio.open_connection("127.0.0.1", port)
        try:
            answer = await _say(port, post)
        finally:
            held.close()
        assert (_problem(answer).code, _problem(answer).status) == ("API.BUSY", 503)
        assert b"retry-after: 5" in answer.lower()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHo"])
async def test_connection_that_says_nothing_ends(said: bytes) -> None:
    async with _served(_Hasty) as port:
        assert await _say(port, said) == b""


async def test_trailers_are_no_headers() -> None:
    post = b"POST /names HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with _served(BoundedHttp) as port:
        answer = await _say(port, post + b"1\r\nx\r\n0\r\nAuthorization: late\r\n\r\n")
        assert answer.endswith(b"\r\n\r\nhost connection transfer-encoding")


@pytest.mark.parametrize("path", [b"/", b"/at-once"])
@pytest.mark.parametrize(
    ("begun", "without_end"),
    [
        (b"0\r\n", b"a: b\r\n" * 10_000),  # Trailers.
        (b"0\r\na: ", b"b" * 60_000),  # A trailer.
        (b"1;", b"b" * 60_000),  # An extension of a chunk.
    ],
)
async def test_what_stands_about_a_body_has_an_end(path: bytes, begun: bytes, without_end: bytes) -> None:
    post = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with _served(BoundedHttp) as port:
        assert (await _say(port, post + begun, *[without_end] * 50)).partition(b" ")[2][:3] in (b"", b"401")


async def test_blank_lines_before_a_request_have_an_end() -> None:
    async with _served(BoundedHttp) as port:
        assert await _say(port, *[b"\r\n" * 30_000] * 50) == b""


async def test_request_that_comes_right_behind_a_large_one_is_answered() -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)
    last = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"
    async with _served(BoundedHttp) as port:
        answers = await _say(port, post * 3 + last[:30], last[30:] + b"x")
        assert [answer.rpartition(b"\r\n\r\n")[2] for answer in answers.split(b"HTTP/1.1 200 OK")[1:]] == [
            *[b"200000"] * 3,
            b"1",
        ]


_NOTHING_LEFT = b"POST /at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
_BODY_LEFT = b"POST /at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    ("asked", "then"),
    [
        (_NOTHING_LEFT, b"P"),
        (_NOTHING_LEFT, b"POST / HTTP/1.1\r\nHo"),
        (_NOTHING_LEFT, b"\r\n"),
        (_BODY_LEFT, b"x"),
        (_BODY_LEFT.replace(b"Content-Length: 1000000", b"Transfer-Encoding: chunked"), b"1;"),
    ],
)
async def test_connection_that_was_answered_and_brings_no_other_request_ends(asked: bytes, then: bytes) -> None:
    async with _served(_Hasty) as port, asyncio.timeout(_SOON_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked)
        assert (await reader.readuntil(b"\r\n\r\nno")).startswith(b"HTTP/1.1 401 ")
        writer.write(then)
        assert await _rest(reader) == b""
        writer.close()


async def test_bytes_that_trickle_in_behind_an_answer_do_not_keep_the_connection() -> None:
    async with _served(_Hasty) as port, asyncio.timeout(_SOON_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_BODY_LEFT)
        await reader.readuntil(b"\r\n\r\nno")
        ended = asyncio.create_task(_rest(reader))
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait([ended], timeout=0.05)
        assert ended.result() == b""
        writer.close()


async def test_body_that_is_waited_for_may_take_its_time() -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx"
    async with _served(_LessHasty) as port, asyncio.timeout(_SOON_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(post)
            await asyncio.sleep(1.5 * _LessHasty.head_within_s)
            writer.write(b"y")
            assert (await reader.readuntil(b"\r\n\r\n2")).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("then", [b"keep-alive", b"close"])
async def test_connection_whose_answer_nobody_reads_gives_up_its_place(then: bytes) -> None:
    post = b"POST /%b HTTP/1.1\r\nHost: x\r\nConnection: %b\r\nContent-Length: 0\r\n\r\n"
    async with _served(_Hasty, most=2) as port, asyncio.timeout(_SOON_S):
        with socket.socket() as unread:
            unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            unread.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(unread, ("127.0.0.1", port))
            await loop.sock_sendall(unread, post % (b"large", then))
            assert await loop.sock_recv(unread, 12) == b"HTTP/1.1 200"
            while (await _say(port, post % (b"at-once", b"close"))).startswith(b"HTTP/1.1 503 "):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


# --- over TLS ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a gateway, of an office and of their authority."""
    province = Province()
    for name in ("gateway", "H56.05"):
        signer = province.register(name, purpose=None)
        write_pair(tmp_path, name, signer.certificate, signer.key)
    write_pair(tmp_path, "ca", province.ca, province.ca_key)
    return tmp_path


@pytest.fixture
def tls(folder: Path) -> Tls:
    return Tls(folder / "gateway.pem", folder / "gateway.key.pem", folder / "ca.pem")


def _trusting(folder: Path) -> ssl.SSLContext:
    trusting = believing(folder / "gateway.pem")
    trusting.verify_flags |= _NO_CHECK_TIME  # Certificates of tests are of the day of tests.
    return trusting


async def test_application_is_told_of_tls_what_asgi_says(folder: Path, tls: Tls) -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    heard: list[Any] = []
    async with _served(BoundedHttp, heard=heard) as port:
        await _say(port, post)
    trusting = _trusting(folder)
    async with _served(BoundedHttp, heard=heard, tls=tls) as port:
        await _say(port, post, trusting=trusting)
        trusting.load_cert_chain(folder / "H56.05.pem", folder / "H56.05.key.pem")
        await _say(port, post, trusting=trusting)
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        await _say(port, post, trusting=trusting)
    plain, *told = heard
    assert plain is None
    nobody, office, before = [one["tls"] for one in told]
    pem = (folder / "H56.05.pem").read_text()
    assert (nobody["client_cert_chain"], nobody["client_cert_name"]) == ([], None)
    assert (office["client_cert_chain"], office["client_cert_name"]) == ([pem], "CN=H56.05,C=VN")
    assert (office["tls_version"], before["tls_version"]) == (0x0304, 0x0303)
    assert before["client_cert_chain"] == [pem]
    assert {"server_cert", "cipher_suite"} <= set(office)


async def test_limits_hold_over_tls(folder: Path, tls: Tls) -> None:
    trusting = _trusting(folder)
    post = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n"
    async with _served(_Hasty, tls=tls) as port:
        assert (await _say(port, post + bytes(3_000_000), trusting=trusting)).endswith(b"3000000")
        assert await _say(port, b"POST / HTTP/1.1\r\nX: ", *[b"y" * 60_000] * 50, trusting=trusting) == b""
        assert _problem(await _say(port, b"EHLO axis\r\n\r\n", trusting=trusting)).code == "API.PARAMETER"
        assert await _say(port, b"GET / HTTP/1.1\r\nHo", trusting=trusting) == b""


async def test_what_is_no_tls_gets_no_answer(tls: Tls) -> None:
    async with _served(BoundedHttp, tls=tls) as port:
        assert await _say(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b""
