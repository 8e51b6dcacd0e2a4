"""A training run's state on disk, from which it goes on to the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from numeric.errors import StoreError
from numeric.training.configuration import differing_keys
from numeric.training.divergence import DivergenceWatch
from numeric.training.recorder import Recorder
from numeric.training.state import State
from numeric.training.store import join_groups, read_tensors, split_group, write_tensors


def write_checkpoint(
    path: Path, config: dict[str, Any], state: State, recorder: Recorder, watch: DivergenceWatch
) -> None:
    """Save the state before step `state.step` in one safetensors file, replaced as a whole.

    Noise needs no state: streams are functions of seed, replica and step.
    """
    recorded, observables = recorder.recorded()
    tensors = join_groups(
        {
            "point": state.point,
            "velocity": state.velocity,
            "observable": observables,
            "run": {"recorded": recorded, "diverged_steps": watch.first_steps},
        }
    )
    write_tensors(path, tensors, {"config": json.dumps(config), "step": str(state.step)})


def resume_checkpoint(
    path: Path, config: dict[str, Any], state: State, recorder: Recorder, watch: DivergenceWatch
) -> None:
    """Bring state, recorder and watch to what the checkpoint holds, in place; without a file do nothing.

    Raises StoreError if the file is damaged, is no checkpoint, or belongs to another configuration (names
    what differs).
    """
    if not path.exists():
        return
    tensors, metadata = read_tensors(path)
    if "config" not in metadata or "step" not in metadata:
        raise StoreError(f"{path} is no checkpoint of a training run: choose another path")
    differing = differing_keys(json.loads(metadata["config"]), config)
    if differing:
        raise StoreError(
            f"{path} is the checkpoint of another configuration ({', '.join(differing)} differ): "
            "choose another path or remove it"
        )
    with torch.no_grad():
        for group, leaves in (("point", state.point), ("velocity", state.velocity)):
            for name, saved in split_group(tensors, group).items():
                leaves[name].copy_(saved)
    run = split_group(tensors, "run")
    recorder.restore(split_group(tensors, "observable"), len(run["recorded"]))
    watch.first_steps.copy_(run["diverged_steps"])
    state.step = int(metadata["step"])
