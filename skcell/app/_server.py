"""Serve the page to a browser on this computer, and to nothing else."""

import contextlib
import functools
import hmac
import io
import json
import secrets
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcell._files import to_csv
from skcell._optional import import_optional
from skcell._pages import render, to_data_uri, to_picture
from skcell.exceptions import ImageReadError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

    from skcell.app._session import LabellingSession

_HOST = "127.0.0.1"

#: Largest body of a request, in bytes: a label is all that a page sends.
_LARGEST_BODY = 10_000

#: Heights and widths of pictures that may be asked for.
_SIZES = (96, 512)

_FILES = Path(__file__).parent
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_ONLY_OWN = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"
_PAGE_POLICY = (
    _ONLY_OWN + "; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_REPORT_POLICY = _ONLY_OWN + "; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def run_app(
    model: str | Path,
    folder: str | Path,
    labels: str | Path = "labels.csv",
    *,
    out: str | Path = "better.skcell",
    port: int = 0,
    open_browser: bool = True,
    notify: Callable[[str], None] = print,
) -> None:
    """Show a page on which images are looked at and labelled, until Ctrl-C.

    The page is served to this computer alone, at an address with a secret, and it loads nothing
    from elsewhere. Each label is saved at once.

    Parameters
    ----------
    model : path-like
        File of a model that `skcell train` made.
    folder : path-like
        Folder of images, with or without sub-folders. They stay where they are.
    labels : path-like, default="labels.csv"
        Table of labels, which is read, and written after each change; see
        `skcell.datasets.LabelTable`.
    out : path-like, default="better.skcell"
        File of the model that is trained from the page. If it exists, a number is added.
    port : int, default=0
        Port; 0 takes a free one.
    open_browser : bool, default=True
        Whether the page is opened.
    notify : callable, default=print
        Called with a sentence about each step, and with the address.

    Raises
    ------
    MissingExtraError
        If starlette or uvicorn is not installed.
    ValueError
        If folder, model or table cannot be used.
    OSError
        If the port is in use.
    """
    uvicorn = import_optional("uvicorn", purpose="The page", extra="app")
    import_optional("starlette", purpose="The page", extra="app")
    from skcell.app._session import LabellingSession

    listener = socket.socket()
    with listener:
        try:
            listener.bind((_HOST, port))
            listener.listen()  # a browser that is quicker than the server waits
        except OSError as error:
            raise OSError(
                f"The port {port} cannot be used ({error.strerror}). Leave it out, and a free one "
                "is taken."
            ) from None
        session = LabellingSession(
            Path(model).expanduser(),
            Path(folder).expanduser(),
            Path(labels).expanduser(),
            Path(out).expanduser(),
            notify,
        )
        token, used = secrets.token_urlsafe(24), listener.getsockname()[1]
        address = f"http://{_HOST}:{used}/{token}/"
        notify(f"Labels are saved to {session.table.path}.")
        notify(f"The page is {address} - it ends with Ctrl-C.")
        if open_browser:
            webbrowser.open(address)
        config = uvicorn.Config(
            make_app(session, token, used), log_level="warning", access_log=False, lifespan="off"
        )
        try:
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listener])
        finally:
            if session.training.running:
                notify("The training is stopped; what it learned until now is kept and tested ...")
            session.training.close()
        notify(f"The page has ended. {len(session.table.labels):,} labels are in {labels}.")


def make_app(session: "LabellingSession", token: str, port: int) -> "ASGIApp":
    """Return the application; all its addresses begin with the token."""
    return _Guard(_make_routes(session), token, port)


class _Guard:
    """Answer requests to this computer's address that know the token, and are short."""

    def __init__(self, app: "Starlette", token: str, port: int) -> None:
        self.app = app
        self._token = token.encode()
        self._hosts = {f"{name}:{port}".encode() for name in (_HOST, "localhost")}

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        first, _, rest = scope["path"].lstrip("/").partition("/")
        # Another host is a page elsewhere whose name was made to lead here.
        allowed = headers.get(b"host") in self._hosts and hmac.compare_digest(
            first.encode(errors="replace"), self._token
        )
        too_long = headers.get(b"content-length", b"0").decode("latin-1")
        if not allowed:
            await _refuse(send, 404)
        elif (
            b"transfer-encoding" in headers
            or not too_long.isdigit()
            or int(too_long) > _LARGEST_BODY
        ):
            await _refuse(send, 413)
        else:
            scope = {**scope, "path": f"/{rest}", "raw_path": None}
            await self.app(scope, receive, functools.partial(_send_safely, send))


async def _send_safely(send: "Send", message: Any) -> None:
    """Send a part of an answer, with headers that keep it on this page."""
    if message["type"] == "http.response.start":
        given = {name for name, _ in message["headers"]}
        message["headers"] += [pair for pair in _HEADERS if pair[0] not in given]
    await send(message)


async def _refuse(send: "Send", status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _make_routes(session: "LabellingSession") -> "Starlette":
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from skcell.app._session import Conflict

    def text(content: str, kind: str, policy: str = _ONLY_OWN) -> Response:
        return Response(content, media_type=kind, headers={"Content-Security-Policy": policy})

    def page(request: Request) -> Response:
        return text(
            render("skcell.app", "page.html.jinja", title="skcell"), "text/html", _PAGE_POLICY
        )

    def script(request: Request) -> Response:
        return text((_FILES / "page.js").read_text(encoding="utf-8"), "text/javascript")

    def index_of(request: Request) -> int:
        index = request.path_params["index"]
        if index >= session.n_images:
            raise IndexError(f"There is no image {index}.")
        return index

    def picture(request: Request) -> Response:
        size = request.path_params["size"]
        if size not in _SIZES:
            raise IndexError(f"Pictures have a size of {_SIZES}.")
        stream = io.BytesIO()
        shown = to_picture(session.picture(index_of(request), size))
        shown.save(stream, "PNG", compress_level=1)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(stream.getvalue(), media_type="image/png", headers=headers)

    def explanation(request: Request) -> Response:
        picture, confirmed = session.explain(index_of(request))
        return JSONResponse({"picture": to_data_uri(picture), "confirmed": confirmed})

    async def change_label(request: Request) -> Response:
        given = await _read(request)
        index, label, expected = (given.get(name) for name in ("index", "label", "expected"))
        if not (type(index) is int and isinstance(label, str) and isinstance(expected, str)):
            raise ValueError("A change has an index, a label, and the label that is expected.")
        if not 0 <= index < session.n_images:
            raise IndexError(f"There is no image {index}.")
        version = await run_in_threadpool(session.set_label, index, label, expected)
        return JSONResponse({"version": version})

    async def train(request: Request) -> Response:
        action = (await _read(request)).get("action")
        actions = {
            "start": session.train,
            "stop": session.training.stop,
            "use": session.use_trained,
        }
        if action not in actions:
            raise ValueError(f"The action is one of {', '.join(actions)}.")
        await run_in_threadpool(actions[action])
        return JSONResponse({})

    async def _read(request: Request) -> dict[str, Any]:
        # A form of another page cannot send this type without being asked for leave.
        if request.headers.get("content-type") != "application/json":
            raise ValueError("Send application/json.")
        found = json.loads(await request.body())
        if not isinstance(found, dict):
            raise ValueError("Send an object.")
        return found

    def report(request: Request) -> Response:
        return text(session.read_report(), "text/html", _REPORT_POLICY)

    def labels(request: Request) -> Response:
        return download(session.table.path.name, session.table.to_bytes())

    def predictions(request: Request) -> Response:
        return download("predictions.csv", to_csv(session.to_records()))

    def download(name: str, content: bytes) -> Response:
        named = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
        headers = {"Content-Disposition": f'attachment; filename="{named}"'}
        return Response(content, media_type="text/csv; charset=utf-8", headers=headers)

    def tell(status: int) -> Callable[[Request, Exception], Response]:
        def handle(request: Request, error: Exception) -> Response:
            more = {"label": error.label} if isinstance(error, Conflict) else {}
            return JSONResponse({"error": session.without_folders(str(error)), **more}, status)

        return handle

    return Starlette(
        routes=[
            Route("/", page),
            Route("/page.js", script),
            Route("/cells", lambda request: JSONResponse(session.describe())),
            Route(
                "/changes/{version:int}",
                lambda request: JSONResponse(session.changes_since(request.path_params["version"])),
            ),
            Route("/cell/{index:int}", lambda r: JSONResponse(session.describe_image(index_of(r)))),
            Route("/picture/{size:int}/{index:int}", picture),
            Route("/explanation/{index:int}", explanation),
            Route("/label", change_label, methods=["POST"]),
            Route("/training", train, methods=["POST"]),
            Route("/report", report),
            Route("/labels.csv", labels),
            Route("/predictions.csv", predictions),
        ],
        exception_handlers={
            Conflict: tell(409),
            IndexError: tell(404),
            ImageReadError: tell(404),
            FileNotFoundError: tell(404),
            OSError: tell(507),
            ValueError: tell(400),
        },
    )
