"""The simulated Kubernetes API over HTTP: lists in pages, watches, single objects, pod proxy.

Objects come from the store, permissions from `rbac`; how the API itself fails is told to it
through `Trouble`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
from aiohttp import web

from exporter.sim import custom_objects, objects, selectors, statuses
from exporter.sim.callers import Callers
from exporter.sim.ledger import Ledger
from exporter.sim.pod_proxy import PodProxy
from exporter.sim.rbac import Ask, Tokens
from exporter.sim.store import Expired, Matches, Store, Stored
from exporter.sim.traffic import Traffic
from exporter.sim.watches import Watch, stream, typed

AUTHENTICATION = "authentication.k8s.io/v1"
AUTHORIZATION = "authorization.k8s.io/v1"
BOOKMARK_SECONDS = 60.0
_WATCH_SECONDS = 1800.0
_VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.4-eks-99d6cc0",
    "platform": "linux/amd64",
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that is served: its names, and the fields it can be selected by."""

    plural: str
    kind: str
    group_version: str
    fields: frozenset[str]

    @property
    def group(self) -> str:
        return self.group_version.rpartition("/")[0]

    @property
    def head(self) -> bytes:
        return b'{"kind":"%b","apiVersion":"%b",' % (
            self.kind.encode(),
            self.group_version.encode(),
        )


RESOURCES = {
    "nodes": Resource("nodes", "Node", "v1", objects.NODE_FIELD_LABELS),
    "pods": Resource("pods", "Pod", "v1", objects.POD_FIELD_LABELS),
    "daemonsets": Resource("daemonsets", "DaemonSet", "apps/v1", objects.OBJECT_FIELD_LABELS),
    "eniconfigs": Resource(
        "eniconfigs", "ENIConfig", custom_objects.ENI_CONFIG_API, objects.OBJECT_FIELD_LABELS
    ),
    "cninodes": Resource(
        "cninodes", "CNINode", custom_objects.CNI_NODE_API, objects.OBJECT_FIELD_LABELS
    ),
}


@dataclass(slots=True)
class Trouble:
    """How the API fails now: hanging, answering 500, or answering late."""

    mode: str | None = None
    seconds: float = 1.0
    expired_as_event: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API works on."""

    store: Store
    tokens: Tokens
    ledger: Ledger
    traffic: Traffic
    proxy: PodProxy
    callers: Callers


class KubeApi:
    """The API's answers."""

    def __init__(self, parts: Parts, *, bookmarks: float = BOOKMARK_SECONDS) -> None:
        self.parts = parts
        self.trouble = Trouble()
        self._bookmarks = bookmarks

    def application(self) -> web.Application:
        """Return the API as an aiohttp application."""
        app = web.Application(middlewares=[self._guarded])
        core, apps = "/api/v1", "/apis/apps/v1"
        configs = f"/apis/{custom_objects.ENI_CONFIG_API}/{{plural:eniconfigs}}"
        cni_nodes = f"/apis/{custom_objects.CNI_NODE_API}/{{plural:cninodes}}"
        app.add_routes(
            [
                web.get("/version", self._version),
                web.get(core + "/{plural:nodes|pods}", self._collection),
                web.get(core + "/{plural:nodes}/{name}", self._single),
                web.get(core + "/namespaces/{namespace}/{plural:pods}", self._collection),
                web.get(core + "/namespaces/{namespace}/{plural:pods}/{name}", self._single),
                web.get(core + "/namespaces/{namespace}/pods/{name}/proxy/{path:.*}", self._proxy),
                web.get(apps + "/{plural:daemonsets}", self._collection),
                web.get(apps + "/namespaces/{namespace}/{plural:daemonsets}", self._collection),
                web.get(apps + "/namespaces/{namespace}/{plural:daemonsets}/{name}", self._single),
                web.get(configs, self._collection),
                web.get(configs + "/{name}", self._single),
                web.get(cni_nodes, self._collection),
                web.get(cni_nodes + "/{name}", self._single),
                web.post(f"/apis/{AUTHENTICATION}/{{plural:tokenreviews}}", self._review),
                web.post(f"/apis/{AUTHORIZATION}/{{plural:subjectaccessreviews}}", self._review),
                web.route("*", "/{path:.*}", self._unknown),
            ]
        )
        return app

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            await self._suffer()
            self._user(request)
            return await handler(request)
        except statuses.Refused as refused:
            return statuses.response(refused.code, refused.message)
        except selectors.BadSelector as bad:
            return statuses.response(400, str(bad))
        except Expired as expired:
            self.parts.traffic.expired += 1
            return statuses.response(410, str(expired))

    async def _suffer(self) -> None:
        match self.trouble.mode:
            case "hang":
                await asyncio.Event().wait()
            case "slow":
                await asyncio.sleep(self.trouble.seconds)
            case "error_500":
                raise statuses.Refused(500, "etcdserver: request timed out")
            case _:
                return

    def _user(self, request: web.Request) -> str:
        user = self.parts.tokens.user(request.headers.get("Authorization", ""))
        if user is None:
            self.parts.traffic.unauthorized += 1
            raise statuses.Refused(401, "Unauthorized")
        return user

    def _allow(self, request: web.Request, ask: Ask) -> None:
        user = self._user(request)
        if self.parts.tokens.allows(user, ask):
            return
        self.parts.traffic.forbidden[ask.resource] += 1
        where = f'in the namespace "{ask.namespace}"' if ask.namespace else "at the cluster scope"
        qualified = f"{ask.resource}.{ask.group}" if ask.group else ask.resource
        raise statuses.Refused(
            403,
            f'{qualified} is forbidden: User "system:serviceaccount:monitoring:{user}" cannot '
            f'{ask.verb} resource "{ask.resource}" in API group "{ask.group}" {where}',
        )

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response(_VERSION)

    async def _unknown(self, request: web.Request) -> NoReturn:
        raise statuses.Refused(
            404, f"the server could not find the requested resource {request.path}"
        )

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        resource = RESOURCES[request.match_info["plural"]]
        namespace = request.match_info.get("namespace")
        watching = request.query.get("watch", "").lower() in {"1", "true"}
        verb = "watch" if watching else "list"
        name = selectors.name(request.query.get("fieldSelector", ""))
        self._allow(request, Ask(verb, resource.plural, resource.group, namespace, name))
        if resource.plural == "pods":
            self.parts.ledger.listed()
        if watching:
            return await self._watch(request, resource)
        return self._list(request, resource)

    async def _single(self, request: web.Request) -> web.Response:
        resource, name = RESOURCES[request.match_info["plural"]], request.match_info["name"]
        namespace = request.match_info.get("namespace")
        self._allow(request, Ask("get", resource.plural, resource.group, namespace, name))
        self.parts.traffic.gets[resource.plural] += 1
        stored = self.parts.store.find(resource.plural, (namespace or "", name))
        if stored is None:
            raise statuses.Refused(404, f'{resource.plural} "{name}" not found')
        return web.Response(body=typed(resource.head, stored), content_type="application/json")

    async def _proxy(self, request: web.Request) -> web.StreamResponse:
        namespace = request.match_info["namespace"]
        self._allow(request, Ask("get", "pods/proxy", "", namespace))
        return await self.parts.proxy.answer(request)

    async def _review(self, request: web.Request) -> web.Response:
        plural = request.match_info["plural"]
        group_version = AUTHENTICATION if plural == "tokenreviews" else AUTHORIZATION
        self._allow(request, Ask("create", plural, group_version.partition("/")[0]))
        self.parts.traffic.reviews[plural] += 1
        try:
            asked = msgspec.json.decode(await request.read(), type=dict[str, Any])
            spec = dict[str, Any](asked["spec"])
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            raise statuses.Refused(400, f"not a review: {error}") from error
        callers = self.parts.callers
        answer = callers.identity if plural == "tokenreviews" else callers.access
        return web.json_response({**asked, "metadata": {}, "status": answer(spec)}, status=201)

    def _list(self, request: web.Request, resource: Resource) -> web.Response:
        limit, token = _limit(request), request.query.get("continue", "")
        store, traffic = self.parts.store, self.parts.traffic
        traffic.list_pages[resource.plural] += 1
        if token:
            page = store.next_page(token, limit=limit)
        else:
            traffic.lists[resource.plural] += 1
            page = store.first_page(resource.plural, _matches(request, resource), limit=limit)
        meta: dict[str, object] = {"resourceVersion": str(page.version)}
        if page.token is not None:
            meta |= {"continue": page.token, "remainingItemCount": page.remaining}
        body = b'{"kind":"%bList","apiVersion":"%b","metadata":%b,"items":[%b]}' % (
            resource.kind.encode(),
            resource.group_version.encode(),
            msgspec.json.encode(meta),
            b",".join(stored.raw for stored in page.items),
        )
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request, resource: Resource) -> web.StreamResponse:
        store, matches = self.parts.store, _matches(request, resource)
        bookmarks = request.query.get("allowWatchBookmarks", "").lower() in {"1", "true"}
        watch = Watch(
            resource.head,
            matches,
            self._bookmarks if bookmarks else None,
            float(request.query.get("timeoutSeconds") or _WATCH_SECONDS),
        )
        since = _since(request)
        self.parts.traffic.watches[resource.plural] += 1
        try:
            feed = store.watch(resource.plural, since=since)
        except Expired:
            if not self.trouble.expired_as_event:
                raise
            feed = store.watch(resource.plural, since=store.version)
            feed.end(failed=True)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            await response.prepare(request)
            await stream(response, watch, feed=feed, store=store)
        except ConnectionError:
            # The watcher went away first, which is no failure of the API.
            return response
        finally:
            store.unwatch(feed)
        return response


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "0")
    if not text.isdecimal():
        raise statuses.Refused(400, f"invalid limit {text!r}")
    return int(text)


def _since(request: web.Request) -> int | None:
    text = request.query.get("resourceVersion", "")
    if text in {"", "0"}:
        return None
    if not text.isdecimal():
        raise statuses.Refused(400, f"Invalid value: {text!r}: resourceVersion must be a number")
    return int(text)


def _matches(request: web.Request, resource: Resource) -> Matches:
    namespace = request.match_info.get("namespace")
    labels = selectors.labels(request.query.get("labelSelector", ""))
    fields = selectors.fields(request.query.get("fieldSelector", ""), resource.fields)

    def matches(stored: Stored) -> bool:
        inside = namespace is None or stored.key[0] == namespace
        return inside and labels(stored.labels) and fields(stored.fields)

    return matches
