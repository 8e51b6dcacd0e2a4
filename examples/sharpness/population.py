"""A population of networks of one architecture, trained side by side, cached and resumable.

Members of equal batch size form a group whose parameters are stacked and trained under one vmap; groups run in parallel
processes. Every member has its own step size, weight decay, augmentation, dropout, start and order of the data. Random
numbers are functions of the member's seed and the epoch, so a run that was cut off goes on to the same numbers.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional

from numeric.errors import StoreError
from numeric.training.store import join_groups, read_tensors, split_group, write_tensors

Point = dict[str, Tensor]
Task, Result = TypeVar("Task"), TypeVar("Result")

MOMENTUM, ADAM = 0.9, (0.9, 0.999, 1e-8)
LARGEST_GROUP = 12  # members under one vmap: beyond this the processor's caches overflow


@dataclass(frozen=True)
class Recipe:
    """How one member is trained. shift: probability that an image is moved by up to one pixel."""

    lr: float
    batch_size: int
    weight_decay: float = 0.0
    shift: float = 0.0
    dropout: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Schedule:
    """epochs: most passes over the data; a member stops earlier once its training loss is below target_loss, if that
    is given. Step sizes are constant, or fall to zero along a half cosine over all epochs."""

    optimizer: Literal["sgd", "momentum", "adamw"]
    epochs: int
    cosine: bool = False
    target_loss: float | None = None


@dataclass(frozen=True)
class Group:
    """What one process trains: members with equal batch size."""

    build: Callable[[], nn.Module]
    recipes: tuple[Recipe, ...]
    data: Mapping[str, Tensor]
    schedule: Schedule
    path: Path


@dataclass
class Progress:
    """Stacked parameters and moments of a group after `epoch` epochs; active: (M,), members not yet at their target."""

    point: Point
    first: Point
    second: Point
    active: Tensor
    epoch: int = 0


def train_population(
    build: Callable[[], nn.Module],
    recipes: Sequence[Recipe],
    data: Mapping[str, Tensor],
    schedule: Schedule,
    folder: Path,
    workers: int = 0,
) -> list[nn.Module]:
    """The trained members, in the order of their recipes and in evaluation mode; finished ones come from `folder`.

    data: "x" (n, 8, 8) and "y" (n,). workers: processes beside this one (0: none). Raises StoreError when the folder
    holds the population of other recipes or another schedule.
    """
    groups, order = [], []
    for size in sorted({recipe.batch_size for recipe in recipes}):
        members = [k for k, recipe in enumerate(recipes) if recipe.batch_size == size]
        for start in range(0, len(members), LARGEST_GROUP):
            chosen = members[start : start + LARGEST_GROUP]
            path = folder / f"batch_{size}_{start // LARGEST_GROUP}.safetensors"
            groups.append(Group(build, tuple(recipes[k] for k in chosen), data, schedule, path))
            order.extend(chosen)
    trained = [member for group in in_parallel(_train_group, groups, workers) for member in unstacked(group)]
    models: dict[int, nn.Module] = {}
    for k, point in zip(order, trained, strict=True):
        models[k] = build().eval()
        models[k].load_state_dict(point)
    return [models[k] for k in range(len(recipes))]


def in_parallel(work: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """`work` on every task, in order, in `workers` processes of one thread each, or here if that is 0."""
    if not workers:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(work, tasks)


def unstacked(point: Point) -> list[Point]:
    """The members of stacked leaves (M, ...)."""
    count = len(next(iter(point.values())))
    return [{name: leaf[k].clone() for name, leaf in point.items()} for k in range(count)]


def _train_group(group: Group) -> Point:
    base = _member(group.build, 0).to("meta")
    images, labels = _moved_images(group.data["x"]), group.data["y"]
    state = _resume(group)
    lr, decay, dropout = (
        torch.tensor([getattr(recipe, name) for recipe in group.recipes]) for name in ("lr", "weight_decay", "dropout")
    )

    def loss(point: Point, x: Tensor, y: Tensor, masks: Tensor | None) -> Tensor:
        return functional.cross_entropy(functional_call(base, point, (x, masks)), y)

    gradient = vmap(grad(loss), in_dims=(0, 0, 0, 0 if dropout.any() else None))
    schedule, size = group.schedule, group.recipes[0].batch_size
    steps = max(len(labels) // size, 1)
    while state.epoch < schedule.epochs and bool(state.active.any()):
        generators = [_generator(recipe, state.epoch) for recipe in group.recipes]
        rows = torch.stack([torch.randperm(len(labels), generator=each) for each in generators])
        moves = _moves(group.recipes, len(labels), generators)
        for step in range(steps):
            done = state.epoch * steps + step
            chosen = rows[:, step * size : (step + 1) * size]
            x = images[moves.gather(1, chosen), chosen]
            masks = _masks(base, dropout, chosen.shape[1], generators)
            now = lr * (0.5 * (1 + torch.cos(torch.tensor(torch.pi * done / (schedule.epochs * steps)))))
            _step(state, gradient(state.point, x, labels[chosen], masks), now if schedule.cosine else lr, decay,
                  schedule, done)  # fmt: skip
        state.epoch += 1
        if schedule.target_loss is not None:
            state.active &= losses(base, state.point, group.data)[0] > schedule.target_loss
        if state.epoch % 10 == 0:
            _save(group, state)
    _save(group, state)
    return state.point


def losses(base: nn.Module, point: Point, data: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and error rate of stacked members on all of the data, (M,) each, without dropout."""

    def one(leaves: Point) -> tuple[Tensor, Tensor]:
        logits = functional_call(base, leaves, (data["x"],))
        return functional.cross_entropy(logits, data["y"]), (logits.argmax(-1) != data["y"]).float().mean()

    with torch.no_grad():
        return vmap(one)(point)


def _step(state: Progress, gradients: Point, lr: Tensor, decay: Tensor, schedule: Schedule, done: int) -> None:
    """One step of every active member, in place. lr, decay: (M,)."""
    with torch.no_grad():
        for name, leaf in state.point.items():
            shape = (-1,) + (1,) * (leaf.ndim - 1)
            rate, shrink = (lr * state.active).view(shape), decay.view(shape)
            direction = _direction(state, name, gradients[name], shrink * leaf, schedule.optimizer, done)
            leaf.sub_(rate * direction)


def _direction(state: Progress, name: str, gradient: Tensor, decay: Tensor, optimizer: str, done: int) -> Tensor:
    if optimizer == "sgd":
        return gradient + decay
    if optimizer == "momentum":
        return state.first[name].mul_(MOMENTUM).add_(gradient + decay)
    slow, square, eps = ADAM
    first = state.first[name].mul_(slow).add_(gradient, alpha=1 - slow)
    second = state.second[name].mul_(square).addcmul_(gradient, gradient, value=1 - square)
    root = (second / (1 - square ** (done + 1))).sqrt_().add_(eps)
    return first / (1 - slow ** (done + 1)) / root + decay


def _moved_images(images: Tensor) -> Tensor:
    """The images (n, 8, 8) moved by all of the nine steps of up to one pixel, (9, n, 8, 8); the first is none."""
    padded = functional.pad(images, (1, 1, 1, 1), value=float(images.min()))
    offsets = [(1, 1)] + [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    return torch.stack([padded[:, i : i + 8, j : j + 8] for i, j in offsets])


def _moves(recipes: Sequence[Recipe], n: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Which of the nine moves each image gets in this epoch, (M, n)."""
    drawn = []
    for recipe, generator in zip(recipes, generators, strict=True):
        moved = torch.rand(n, generator=generator) < recipe.shift
        drawn.append(moved * torch.randint(1, 9, (n,), generator=generator))
    return torch.stack(drawn)


def _masks(base: nn.Module, dropout: Tensor, size: int, generators: Sequence[torch.Generator]) -> Tensor | None:
    """Dropout masks (M, size, *mask_shape) with mean 1; None where no member drops."""
    if not bool(dropout.any()):
        return None
    drawn = torch.stack([torch.rand(size, *base.mask_shape, generator=each) for each in generators])
    keep = (1 - dropout).view(-1, *[1] * (drawn.ndim - 1))
    return (drawn < keep) / keep


def _generator(recipe: Recipe, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(1_000_003 * (recipe.seed + 1) + epoch)


def _member(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A fresh network; modules draw from torch's global generator, which is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _resume(group: Group) -> Progress:
    """The saved state of the group, or its start. Raises StoreError for the state of another group."""
    if not group.path.exists():
        point, _ = stack_module_state([_member(group.build, recipe.seed) for recipe in group.recipes])
        point = {name: leaf.detach().clone() for name, leaf in point.items()}
        zeros = [{name: torch.zeros_like(leaf) for name, leaf in point.items()} for _ in range(2)]
        return Progress(point, *zeros, torch.ones(len(group.recipes), dtype=torch.bool))
    tensors, metadata = read_tensors(group.path)
    if metadata.get("group") != _description(group):
        raise StoreError(f"{group.path} holds other members than these: choose another folder, or remove it")
    parts = (split_group(tensors, part) for part in ("point", "first", "second"))
    return Progress(*parts, tensors["run/active"], int(metadata["epoch"]))


def _save(group: Group, state: Progress) -> None:
    parts = {"point": state.point, "first": state.first, "second": state.second, "run": {"active": state.active}}
    metadata = {"group": _description(group), "epoch": str(state.epoch)}
    write_tensors(group.path, join_groups(parts), metadata)


def _description(group: Group) -> str:
    data = {name: [list(part.shape), float(part.double().sum())] for name, part in group.data.items()}
    recipes = [asdict(recipe) for recipe in group.recipes]
    build = getattr(group.build, "__name__", str(group.build))
    return json.dumps({"build": build, "recipes": recipes, "schedule": asdict(group.schedule), "data": data})
