"""Generated geometry on a GPU: time, memory traffic, FLOPs, the share of the device's limit, agreement with the CPU.

    python benchmarks/gpu_geometry.py --write DIR [--entries NAME ...] [--size NAME=VALUE ...]
    python benchmarks/gpu_geometry.py --modules DIR [--batch N] [--compile NAME ...] [--limit SECONDS] [--json]

The first form runs where symtheory is: it writes NAME_METRIC.py for every catalog entry and metric, and
shapes.json. The second needs torch and that folder alone, and takes the CPU where there is no GPU.

A time is the median between two events of the device, so a function too small for it shows the time to launch it.
Bytes are inputs and outputs, once each: what any implementation has to move. FLOPs are those of matrix products, as
torch counts them; factorizations and elementwise work are not in them. The limit is the longer of bytes / bandwidth
(measured by a copy) and FLOPs / peak (measured by a large matrix product of the same dtype, TF32 off); the share is
limit / time, and can exceed 1 where the arrays fit into a cache. Every result is compared with the CPU's in float64
from the same numbers: exit status 1 where a float64 result differs by more than 1e-9 of its largest entry, or a
function fails. What the time limit left out is counted, and not an error.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Arrays = dict[str, Tensor]

METRICS = ("invariant", "mixed")
FUNCTIONS = ("christoffel_form", "project_horizontal", "inner", "geodesic")
COMPILED = ("low_rank", "multihead_attention", "hadamard")
TOLERANCE = 1e-9
DTYPES = {"float32": torch.float32, "float64": torch.float64}

SIZES = {
    **dict.fromkeys(("n", "m", "d"), 768),
    **dict.fromkeys(("h", "h1", "h2", "c"), 64),
    "k": 128,
    **{"r": 8, "heads": 12, "groups": 4, "v": 1024, "channels": 16, "s": 3, "height": 32, "width": 32},
}
LONG = {"d": 1 << 20}  # for entries whose parameters are all vectors
OVERRIDES = {"residual": {"d": 64, "h": 768}, "grouped_query_attention": {"r": 3}, "mixture_of_experts": {"m": 8}}


# Writing: where SymPy is.


def write(folder: Path, entries: list[str], given: dict[str, int]) -> None:
    """Generate the modules and the JSON of their parameter shapes."""
    from symtheory import catalog

    folder.mkdir(parents=True, exist_ok=True)
    modules = {}
    for name in entries or catalog.NAMES:
        for metric in METRICS:
            shapes = write_one(folder, name, metric, given)
            if shapes is not None:
                modules[f"{name}_{metric}"] = {"entry": name, "metric": metric, "shapes": shapes}
    text = json.dumps({"modules": modules}, indent=1)
    (folder / "shapes.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(modules)} modules with a geometry in {folder}")


def write_one(folder: Path, name: str, metric: str, given: dict[str, int]) -> dict[str, list[int]] | None:
    """Write one module and return its shapes; None, with a line that says why, where it has no geometry."""
    import symtheory as st
    from symtheory import catalog
    from symtheory.errors import CodegenError, SymtheoryError

    parametrization = catalog.load(name)
    vectors = all(len(shape) == 1 for shape in parametrization.parameters.values())
    values = {**SIZES, **(LONG if vectors else {}), **OVERRIDES.get(name, {}), **given}
    bound = parametrization.bind(**{str(size): values[str(size)] for size in parametrization.free_sizes})
    try:
        try:
            module = st.generate(parametrization, metric=metric)
        except CodegenError:  # a size that no axis tells
            module = st.generate(bound, metric=metric)
    except SymtheoryError as error:
        print(f"{name}, {metric}: {error}")
        return None
    if set(FUNCTIONS) <= set(module.omitted):
        print(f"{name}, {metric}: {module.omitted[FUNCTIONS[0]]}")
        return None
    module.save(folder / f"{name}_{metric}.py")
    return {key: [int(size) for size in shape] for key, shape in bound.parameters.items()}


# Measuring: where torch is.


@dataclass(frozen=True)
class Job:
    """A function of a module, to be run in one dtype, compiled or not."""

    entry: str
    metric: str
    function: str
    dtype: str
    compiled: bool


@dataclass(frozen=True)
class Result:
    """What came out of a job; `share` is of the limit named by `bound`."""

    job: Job
    milliseconds: float | None = None
    megabytes: float | None = None
    gigaflop: float | None = None
    bound: str = ""
    share: float | None = None
    difference: float | None = None
    note: str = ""

    @property
    def wrong(self) -> bool:
        """Whether it failed, or differs from the CPU in float64."""
        agrees = self.difference is not None and self.difference <= TOLERANCE  # False for nan
        return bool(self.note) or (self.job.dtype == "float64" and not agrees)


class Budget:
    """Seconds to spend; the longest step so far is kept in reserve."""

    def __init__(self, seconds: float) -> None:
        self.start, self.seconds, self.longest = time.perf_counter(), seconds, 0.0

    def allows(self, share: float = 1.0) -> bool:
        """Whether a step as long as the longest so far would end within that share of the seconds."""
        return time.perf_counter() - self.start + 1.2 * self.longest < share * self.seconds

    def run(self, step: Callable[[], Result]) -> Result:
        """Do one step and remember its length."""
        begin = time.perf_counter()
        result = step()
        self.longest = max(self.longest, time.perf_counter() - begin)
        return result


class Device:
    """A device, its clock, and what it can do."""

    def __init__(self, name: str) -> None:
        self.device = torch.device(name)
        self.gpu = self.device.type == "cuda"
        self.name = torch.cuda.get_device_name() if self.gpu else f"CPU, {torch.get_num_threads()} threads"
        self.bandwidth = self._bandwidth()
        self.peak = {name: self._peak(dtype) for name, dtype in DTYPES.items()}

    def times(self, call: Callable[[], object], most: int = 30, seconds: float = 0.3) -> list[float]:
        """Seconds of several calls, after two to warm up, as many as fit in `seconds` of a stopwatch."""
        call()
        self.wait()
        begin = time.perf_counter()
        call()
        self.wait()
        count = max(3, min(most, int(seconds / (time.perf_counter() - begin))))
        return self._event_times(call, count) if self.gpu else [stopwatch(call) for _ in range(count)]

    def wait(self) -> None:
        """Until all that was started is done."""
        if self.gpu:
            torch.cuda.synchronize()

    def _event_times(self, call: Callable[[], object], count: int) -> list[float]:
        pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
        for first, last in pairs:
            first.record()
            call()
            last.record()
        self.wait()
        return [first.elapsed_time(last) / 1e3 for first, last in pairs]

    def _bandwidth(self) -> float:
        """Bytes a second of a copy, reads and writes counted."""
        source = torch.ones(1 << (30 if self.gpu else 27), dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        return 2 * source.numel() / min(self.times(lambda: target.copy_(source), most=10))

    def _peak(self, dtype: torch.dtype) -> float:
        """FLOPs a second of a large square matrix product."""
        size = 8192 if self.gpu else 1024
        factor = torch.ones(size, size, dtype=dtype, device=self.device)
        return 2 * size**3 / min(self.times(lambda: factor @ factor, most=10))


def stopwatch(call: Callable[[], object]) -> float:
    """Seconds of one call on the CPU."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def load(path: Path) -> ModuleType:
    """A generated module from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def draw(shapes: dict[str, list[int]], batch: int, seed: int) -> Arrays:
    """Entries of random sign, of parameter i of size i + ½ to i + 5/4, float32: away from every domain's border."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for place, (key, shape) in enumerate(shapes.items()):
        size = 0.75 * torch.rand(batch, *shape, generator=generator) + place + 0.5
        result[key] = size * torch.randint(2, size.shape, generator=generator).mul(2).sub(1)
    return result


def arguments(function: str, point: Arrays, xi: Arrays, zeta: Arrays) -> tuple:
    """What a function is called with."""
    return {"inner": (point, xi, zeta), "geodesic": (point, xi, 0.1)}.get(function, (point, xi))


def moved(call: tuple, dtype: torch.dtype, device: torch.device) -> tuple:
    """Arguments in a dtype on a device."""
    return tuple(
        {key: value.to(device=device, dtype=dtype) for key, value in argument.items()}
        if isinstance(argument, dict)
        else argument
        for argument in call
    )


def tensors(*values: object) -> Iterator[Tensor]:
    """The tensors in arguments or results."""
    for value in values:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, Tensor):
            yield value


def largest(values: Iterable[float]) -> float:
    """The maximum; nan where one is nan or there is none."""
    return max(values, key=lambda value: (value != value, value), default=float("nan"))


def largest_difference(result: object, reference: list[Tensor]) -> float:
    """Largest difference of two results over the largest entry of the reference; one of its arrays may be zero."""
    pairs = zip((value.cpu().double() for value in tensors(result)), reference, strict=True)
    scale = largest(value.abs().max().item() for value in reference)
    difference = largest((own - other).abs().max().item() for own, other in pairs)
    return difference / scale if scale else difference  # a Christoffel form may vanish


class Bench:
    """Measures the jobs of one folder on one device; the CPU's result of the latest function is kept."""

    def __init__(self, folder: Path, device: Device, batch: int) -> None:
        self.folder, self.device, self.batch = folder, device, batch
        self.modules = json.loads((folder / "shapes.json").read_text(encoding="utf-8"))["modules"]
        self._latest: tuple[tuple[str, str], tuple, list[Tensor]] | None = None
        self._drawn: tuple[dict[str, list[int]], list[Arrays]] | None = None

    def jobs(self, *, compiled: bool) -> list[Job]:
        """Every function of every module in both dtypes."""
        return [
            Job(about["entry"], about["metric"], function, dtype, compiled)
            for stem, about in self.modules.items()
            for function in FUNCTIONS
            if hasattr(self.module(stem), function)
            for dtype in DTYPES
        ]

    def module(self, stem: str) -> ModuleType:
        """The module of that name, loaded once."""
        if stem not in sys.modules:
            sys.modules[stem] = load(self.folder / f"{stem}.py")
        return sys.modules[stem]

    def reference(self, stem: str, name: str) -> tuple[tuple, list[Tensor]]:
        """Arguments in float32, and the CPU's result from them in float64."""
        if self._latest is None or self._latest[0] != (stem, name):
            call = arguments(name, *self.draws(self.modules[stem]["shapes"]))
            result = getattr(self.module(stem), name)(*moved(call, torch.float64, torch.device("cpu")))
            self._latest = (stem, name), call, list(tensors(result))
        return self._latest[1:]

    def draws(self, shapes: dict[str, list[int]]) -> list[Arrays]:
        """A point and two tangents; those of the latest shapes are kept."""
        if self._drawn is None or self._drawn[0] != shapes:
            self._drawn = shapes, [draw(shapes, self.batch, seed) for seed in range(3)]
        return self._drawn[1]

    def measure(self, job: Job) -> Result:
        """Run one job; what torch refuses is a note."""
        stem, dtype = f"{job.entry}_{job.metric}", DTYPES[job.dtype]
        function = getattr(self.module(stem), job.function)
        try:
            source, reference = self.reference(stem, job.function)
            call = moved(source, dtype, self.device.device)
            with FlopCounterMode(display=False) as counter:
                function(*call)
            if job.compiled:
                torch.compiler.reset()
                function = torch.compile(function, dynamic=False, fullgraph=True)
            result = function(*call)
            difference = largest_difference(result, reference)
            seconds = statistics.median(self.device.times(lambda: function(*call)))
        except RuntimeError as error:
            return Result(job, note=f"{type(error).__name__}: {str(error).strip().splitlines()[0][:80]}")
        size = sum(value.numel() * value.element_size() for value in tensors(*call, result))
        return self._result(job, seconds, size, counter.get_total_flops(), difference)

    def _result(self, job: Job, seconds: float, size: int, flops: int, difference: float) -> Result:
        limits = {"memory": size / self.device.bandwidth, "FLOPs": flops / self.device.peak[job.dtype]}
        bound = max(limits, key=limits.__getitem__)
        share = limits[bound] / seconds
        return Result(job, seconds * 1e3, size / 1e6, flops / 1e9, bound, share, difference)


def ordered(jobs: list[Job], first: list[str]) -> list[Job]:
    """The entries named first in their order, then the others as they come."""
    place = {name: index for index, name in enumerate(first)}
    return sorted(jobs, key=lambda job: place.get(job.entry, len(place)))


def run(bench: Bench, compiled: list[str], budget: Budget) -> Iterator[Result]:
    """Eager jobs within half of the time, what is compiled coming first; then the compiled ones, function by function.

    What the time does not allow is yielded without a measurement.
    """
    for job in ordered(bench.jobs(compiled=False), compiled):
        yield budget.run(lambda job=job: bench.measure(job)) if budget.allows(0.5) else Result(job)
    jobs = [job for job in ordered(bench.jobs(compiled=True), compiled) if job.entry in compiled]
    for job in sorted(jobs, key=lambda job: FUNCTIONS.index(job.function)):
        yield budget.run(lambda job=job: bench.measure(job)) if budget.allows() else Result(job)


HEADER = (
    f"{'function':<56} {'dtype':<8} {'mode':<8} {'ms':>9} {'MB':>9} {'GFLOP':>8} "
    f"{'limit':<7} {'share':>7} {'difference':>10}"
)


def line(result: Result) -> str:
    """A result for a reader."""
    job = result.job
    mode = "compiled" if job.compiled else "eager"
    start = f"{f'{job.entry}, {job.metric}: {job.function}':<56} {job.dtype:<8} {mode:<8} "
    if result.note:
        return start + result.note
    numbers = f"{result.milliseconds:>9.4f} {result.megabytes:>9.2f} {result.gigaflop:>8.2f}"
    end = f"{result.bound:<7} {result.share:>7.1%} {result.difference:>10.1e}"
    return f"{start}{numbers} {end}{'  differs' if result.wrong else ''}"


def flat(result: Result) -> dict[str, object]:
    """A result as one level of names and values."""
    values = asdict(result)
    return values.pop("job") | values


def measure(options: argparse.Namespace) -> int:
    """Measure and print; the exit status."""
    budget = Budget(options.limit)
    torch.set_float32_matmul_precision("highest")
    device = Device("cuda" if torch.cuda.is_available() else "cpu")
    limits = ", ".join(f"{name} {peak / 1e12:.3g} TFLOP/s" for name, peak in device.peak.items())
    about = f"{device.name}, torch {torch.__version__}: copy {device.bandwidth / 1e9:.0f} GB/s, {limits}"
    if not options.json:
        print(about, HEADER, sep="\n", flush=True)
    results, left_out = [], 0
    for result in run(Bench(options.modules, device, options.batch), options.compile, budget):
        if result.milliseconds is None and not result.note:
            left_out += 1
            continue
        results.append(result)
        if not options.json:
            print(line(result), flush=True)
    wrong = [result for result in results if result.wrong]
    if options.json:
        rows = [flat(result) for result in results]
        print(json.dumps({"about": about, "batch": options.batch, "left_out": left_out, "rows": rows}, indent=1))
    else:
        doubles = [result.difference for result in results if result.job.dtype == "float64" and not result.note]
        print(f"largest difference from the CPU in float64: {largest(doubles):.1e}")
        print(f"{len(results)} measured, {len(wrong)} wrong, {left_out} left out by the limit of {options.limit:g} s")
    return 1 if wrong or not results else 0


def size(text: str) -> tuple[str, int]:
    """NAME=VALUE."""
    name, _, value = text.partition("=")
    return name, int(value)


def main() -> int:
    """Parse the options and do one or the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="DIR", help="generate the modules")
    action.add_argument("--modules", type=Path, metavar="DIR", help="measure the modules in this folder")
    parser.add_argument("--entries", nargs="*", default=[], metavar="NAME", help="with --write: not the whole catalog")
    parser.add_argument("--size", nargs="*", type=size, default=[], metavar="NAME=VALUE", help="with --write")
    parser.add_argument("--batch", type=int, default=12, help="points at once")
    parser.add_argument("--compile", nargs="*", default=list(COMPILED), metavar="NAME", help="entries to compile too")
    parser.add_argument("--limit", type=float, default=240.0, metavar="SECONDS", help="stop before that")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    if options.write:
        write(options.write, options.entries, dict(options.size))
        return 0
    return measure(options)


if __name__ == "__main__":
    sys.exit(main())
