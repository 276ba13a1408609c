import asyncio

from tests.sim.client import AWS_NODE, ask, name, nothing, on_loop, small, told, watched

NODES = "/api/v1/nodes"


@on_loop
async def test_a_watch_from_a_list_tells_exactly_what_changed_after_it() -> None:
    async with small(3) as sim:
        _, listed = await ask(sim, NODES)
        version = listed["metadata"]["resourceVersion"]
        await sim.event("heartbeat", [name(sim, 0)])
        first, second = name(sim, 0), name(sim, 1)

        async def happens() -> None:
            await sim.event("remove_node", [second])
            await sim.event("join")

        events = await watched(sim, NODES, happens=happens, resourceVersion=version)
        joined = name(sim, len(sim.cluster.nodes) - 1)
        assert told(events) == [("MODIFIED", first), ("DELETED", second), ("ADDED", joined)]
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
        assert versions == sorted(versions)
        assert versions[0] > int(version)
        assert {event["object"]["kind"] for event in events} == {"Node"}


@on_loop
async def test_a_watch_without_a_version_begins_with_what_there_is() -> None:
    async with small(2) as sim:
        events = await watched(sim, NODES, happens=nothing)
        assert told(events) == [("ADDED", one) for one in sorted(sim.cluster.nodes)]


@on_loop
async def test_a_selector_turns_changes_into_additions_and_deletions() -> None:
    async with small(2) as sim:
        node = sim.cluster.expected[0]
        _, listed = await ask(sim, AWS_NODE)
        version = listed["metadata"]["resourceVersion"]

        async def happens() -> None:
            await sim.event("pend", [node.name])
            await sim.event("run", [node.name])
            await sim.event("terminate", [node.name])
            await sim.event("delete_pod", [node.name])

        old = node.pods[0].name
        events = await watched(
            sim,
            AWS_NODE,
            happens=happens,
            resourceVersion=version,
            labelSelector="k8s-app=aws-node",
            fieldSelector="status.phase=Running",
        )
        new = events[1]["object"]["metadata"]["name"]
        assert told(events) == [
            ("DELETED", old),
            ("ADDED", new),
            ("MODIFIED", new),
            ("DELETED", new),
        ]


@on_loop
async def test_what_stops_matching_is_deleted_in_its_new_state() -> None:
    async with small(1) as sim:
        _, listed = await ask(sim, NODES)
        version = listed["metadata"]["resourceVersion"]
        node = name(sim)
        events = await watched(
            sim,
            NODES,
            happens=lambda: sim.event("cordon", [node]),
            resourceVersion=version,
            fieldSelector="spec.unschedulable=false",
        )
        (event,) = events
        assert (event["type"], event["object"]["spec"]["unschedulable"]) == ("DELETED", True)
        assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)


@on_loop
async def test_bookmarks_come_in_between_and_carry_the_newest_version() -> None:
    async with small(1, bookmarks=0.2) as sim:
        version = str(sim.cluster.store.version)
        events = await watched(
            sim,
            "/apis/apps/v1/namespaces/kube-system/daemonsets",
            happens=lambda: sim.event("heartbeat", [name(sim)]),
            resourceVersion=version,
            allowWatchBookmarks="true",
        )
        assert 3 <= len(events) <= 6
        assert {event["type"] for event in events} == {"BOOKMARK"}
        last = events[-1]["object"]
        assert last["kind"] == "DaemonSet"
        assert last["metadata"] == {
            "resourceVersion": str(sim.cluster.store.version),
            "creationTimestamp": None,
        }
        assert sim.cluster.store.version > int(version)


@on_loop
async def test_without_being_allowed_there_are_no_bookmarks() -> None:
    async with small(1, bookmarks=0.1) as sim:
        version = str(sim.cluster.store.version)
        assert await watched(sim, NODES, happens=nothing, resourceVersion=version) == []


@on_loop
async def test_an_error_event_ends_every_watch_with_410() -> None:
    async with small(1) as sim:
        version = str(sim.cluster.store.version)
        events = await watched(
            sim, NODES, happens=lambda: sim.api_trouble("error_event"), resourceVersion=version
        )
        (event,) = events
        assert (event["type"], event["object"]["kind"], event["object"]["code"]) == (
            "ERROR",
            "Status",
            410,
        )


@on_loop
async def test_dropped_watches_end_at_once_and_silently() -> None:
    async with small(1) as sim:
        version = str(sim.cluster.store.version)
        began = asyncio.get_running_loop().time()
        events = await watched(
            sim,
            NODES,
            happens=lambda: sim.api_trouble("drop_watches"),
            resourceVersion=version,
            timeoutSeconds="15",
        )
        assert events == []
        assert asyncio.get_running_loop().time() - began < 5


@on_loop
async def test_after_a_compaction_a_watch_is_refused_or_told_as_an_event() -> None:
    async with small(1) as sim:
        version = str(sim.cluster.store.version)
        await sim.api_trouble("compact")
        status, body = await ask(sim, NODES, watch="1", resourceVersion=version)
        assert (status, body["reason"]) == (410, "Expired")
        await sim.api_trouble("expired_as_event")
        (event,) = await watched(sim, NODES, happens=nothing, resourceVersion=version)
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
