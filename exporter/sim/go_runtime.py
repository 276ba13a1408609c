"""The families every Go program's page carries: `go_*`, `process_*`, `promhttp_*`.

They say nothing about addresses; a reader has to walk past them. Figures are those of one idle
daemon.
"""

from exporter.sim.ipamd import Shape

_GO_VERSION = {Shape.V1_15: "go1.21.1", Shape.V1_23: "go1.26.0"}

# name, type, help, value; families absent from Go 1.21's collector carry a star.
_GO = """\
gc_gogc_percent* gauge 100 Heap size target percentage configured by the user, otherwise 100. \
This value is set by the GOGC environment variable, and the runtime/debug.SetGCPercent function.
gc_gomemlimit_bytes* gauge 9.223372036854776e+18 Go runtime memory limit configured by the user, \
otherwise math.MaxInt64. This value is set by the GOMEMLIMIT environment variable.
goroutines gauge 43 Number of goroutines that currently exist.
memstats_alloc_bytes gauge 1.2847344e+07 Number of bytes allocated in heap and currently in use.
memstats_alloc_bytes_total counter 4.0181836e+09 Total number of bytes allocated, even if freed.
memstats_buck_hash_sys_bytes gauge 1.680225e+06 Number of bytes used by the profiling bucket \
hash table.
memstats_frees_total counter 3.8712945e+07 Total number of heap objects frees.
memstats_gc_sys_bytes gauge 4.93432e+06 Number of bytes used for garbage collection system \
metadata.
memstats_heap_alloc_bytes gauge 1.2847344e+07 Number of heap bytes allocated and still in use.
memstats_heap_idle_bytes gauge 1.6277504e+07 Number of heap bytes waiting to be used.
memstats_heap_inuse_bytes gauge 1.7244160e+07 Number of heap bytes that are in use.
memstats_heap_objects gauge 71893 Number of allocated objects.
memstats_heap_released_bytes gauge 9.15456e+06 Number of heap bytes released to OS.
memstats_heap_sys_bytes gauge 3.3521664e+07 Number of heap bytes obtained from system.
memstats_last_gc_time_seconds gauge 1.7872000129e+09 Number of seconds since 1970 of last \
garbage collection.
memstats_mallocs_total counter 3.8784838e+07 Total number of mallocs.
memstats_mcache_inuse_bytes gauge 4832 Number of bytes in use by mcache structures.
memstats_mcache_sys_bytes gauge 15704 Number of bytes used for mcache structures obtained from \
system.
memstats_mspan_inuse_bytes gauge 270720 Number of bytes in use by mspan structures.
memstats_mspan_sys_bytes gauge 391680 Number of bytes used for mspan structures obtained from \
system.
memstats_next_gc_bytes gauge 2.2446242e+07 Number of heap bytes when next garbage collection \
will take place.
memstats_other_sys_bytes gauge 1.173895e+06 Number of bytes used for other system allocations.
memstats_stack_inuse_bytes gauge 1.212416e+06 Number of bytes in use by the stack allocator.
memstats_stack_sys_bytes gauge 1.212416e+06 Number of bytes obtained from system for stack \
allocator.
memstats_sys_bytes gauge 4.2929496e+07 Number of bytes obtained from system.
sched_gomaxprocs_threads* gauge 4 The current runtime.GOMAXPROCS setting, or the number of \
operating \
system threads that can execute user-level Go code simultaneously.
threads gauge 12 Number of OS threads created.
"""

_PROCESS = """\
process_cpu_seconds_total counter 214.57 Total user and system CPU time spent in seconds.
process_max_fds gauge 65536 Maximum number of open file descriptors.
process_network_receive_bytes_total* counter 2.0846251e+10 Number of bytes received by the \
process over the network.
process_network_transmit_bytes_total* counter 1.8836225e+10 Number of bytes sent by the process \
over the network.
process_open_fds gauge 15 Number of open file descriptors.
process_resident_memory_bytes gauge 6.3229952e+07 Resident memory size in bytes.
process_start_time_seconds gauge @START@ Start time of the process since unix epoch in seconds.
process_virtual_memory_bytes gauge 1.334349824e+09 Virtual memory size in bytes.
process_virtual_memory_max_bytes gauge 1.8446744073709552e+19 Maximum amount of virtual memory \
available in bytes.
"""

_GC_DURATION = """\
# HELP go_gc_duration_seconds A summary of the wall-time pause duration in GC cycles.
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0"} 3.2821e-05
go_gc_duration_seconds{quantile="0.25"} 5.1877e-05
go_gc_duration_seconds{quantile="0.5"} 6.6041e-05
go_gc_duration_seconds{quantile="0.75"} 8.7215e-05
go_gc_duration_seconds{quantile="1"} 0.001046213
go_gc_duration_seconds_sum 0.031289413
go_gc_duration_seconds_count 402
"""

_PROMHTTP = """\
# HELP promhttp_metric_handler_requests_in_flight Current number of scrapes being served.
# TYPE promhttp_metric_handler_requests_in_flight gauge
promhttp_metric_handler_requests_in_flight 1
# HELP promhttp_metric_handler_requests_total Total number of scrapes by HTTP status code.
# TYPE promhttp_metric_handler_requests_total counter
promhttp_metric_handler_requests_total{code="200"} 1204
promhttp_metric_handler_requests_total{code="500"} 0
promhttp_metric_handler_requests_total{code="503"} 0
"""


def _family(prefix: str, line: str) -> str:
    name, kind, value, text = line.split(" ", 3)
    name = prefix + name.removesuffix("*")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name} {value}\n"


def _section(prefix: str, rows: str, *, shape: Shape) -> str:
    lines = [row for row in rows.splitlines() if shape is not Shape.V1_15 or "*" not in row[:40]]
    return "".join(_family(prefix, line) for line in lines)


def _info(shape: Shape) -> str:
    return (
        "# HELP go_info Information about the Go environment.\n# TYPE go_info gauge\n"
        f'go_info{{version="{_GO_VERSION[shape]}"}} 1\n'
    )


def _written(shape: Shape) -> tuple[str, str]:
    text = _GC_DURATION + _section("go_", _GO, shape=shape) + _info(shape)
    before, _, after = (text + _section("", _PROCESS, shape=shape) + _PROMHTTP).partition("@START@")
    return before, after


_TAIL = {shape: _written(shape) for shape in Shape}


def tail(shape: Shape, started: str) -> str:
    """Return the part of a page that follows ipamd's own families."""
    before, after = _TAIL[shape]
    return f"{before}{started}{after}"


def go_version(shape: Shape) -> str:
    """Return the Go release that ipamd of this generation was built with."""
    return _GO_VERSION[shape]
