"""Checkpoints: one safetensors file each, whole or not there at all, and nothing that could run code."""

from __future__ import annotations

# book/appendices/b-training.qmd § Checkpoints
import errno
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from agm.training.data import tensors_digest
from agm.training.errors import CheckpointError

FORMAT = 1
KEY = "agm.checkpoint"
BEST = "best.safetensors"
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_NAME = re.compile(r"step-(\d{8})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run is, between two steps.

    Args:
        step: number of steps made.
        tensors: "model/…", "average/…" and "optimizer/<parameter>/…".
        settings: the settings of the loop that determine the weights.
        description: what else defines the run, as the caller told it.
        data: checksum of the data set.
        state: what else the loop must remember, ready for JSON.
    """

    step: int
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any]
    description: Mapping[str, Any]
    data: str
    state: Mapping[str, Any] = field(default_factory=dict)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix, without it."""
        start = f"{prefix}/"
        return {name.removeprefix(start): t for name, t in self.tensors.items() if name.startswith(start)}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that whoever looks, and whenever the power fails, it is the old or the new one.

    Args:
        path: the file; its folder must exist.
        content: all of it.

    Raises:
        CheckpointError: if it cannot be written; the old file is as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())  # the content is on the disk before the name is
        os.replace(part, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        full = "free some space" if error.errno in FULL else "check the folder"
        raise CheckpointError(
            f"{path}: cannot write {len(content) / 1e6:.1f} MB ({error.strerror}): {full} and run the same "
            "command again; what was saved before is intact"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Store a checkpoint.

    Args:
        path: the file.
        checkpoint: what to store.

    Raises:
        CheckpointError: if it cannot be written.
    """
    tensors = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in checkpoint.tensors.items()}
    record = {
        "format": FORMAT,
        "step": checkpoint.step,
        "settings": checkpoint.settings,
        "description": checkpoint.description,
        "data": checkpoint.data,
        "state": checkpoint.state,
        "digest": tensors_digest(tensors),
    }
    write_atomically(path, safetensors.torch.save(tensors, {KEY: json.dumps(record)}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Load a checkpoint and verify it.

    Args:
        path: the file.

    Returns:
        The checkpoint, its tensors on the CPU.

    Raises:
        CheckpointError: if it is missing, damaged, or not one of ours.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            record = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint; check the name or train first") from None
    except (safetensors.SafetensorError, OSError) as error:
        own = path.name == BEST or _NAME.fullmatch(path.name)
        remedy = "delete it to go on from another" if own else "name a checkpoint of a training run"
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error}); {remedy}") from None
    try:
        content = json.loads(record or "null")
        version = content["format"]
        fields = [content[name] for name in ("step", "settings", "description", "data", "state", "digest")]
    except (TypeError, KeyError, json.JSONDecodeError):
        raise CheckpointError(
            f"{path}: a safetensors file, but no checkpoint of a training run; name another file"
        ) from None
    if version != FORMAT:
        raise CheckpointError(f"{path}: checkpoint format {version}, this version reads {FORMAT}; train anew")
    step, settings, description, data, state, digest = fields
    if tensors_digest(tensors) != digest:
        raise CheckpointError(
            f"{path}: the content does not match its digest, the file is damaged; "
            "delete it to go on from the one before"
        )
    return Checkpoint(step, tensors, settings, description, data, state)


# book/appendices/b-training.qmd § Checkpoints
class CheckpointFolder:
    """The checkpoints of a run: the last few, and the best.

    Args:
        folder: of the run; made if it is missing.
        keep: how many of the latest stay.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder / "checkpoints"
        self.keep = keep

    def paths(self) -> list[Path]:
        """The checkpoints, newest first."""
        found = self.folder.glob("step-*.safetensors") if self.folder.is_dir() else ()
        return sorted((path for path in found if _NAME.fullmatch(path.name)), reverse=True)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Store a checkpoint and delete those that are too old.

        Args:
            checkpoint: what to store.

        Returns:
            Its path.

        Raises:
            CheckpointError: if it cannot be written; nothing is deleted then.
        """
        self._make()
        path = self.folder / f"step-{checkpoint.step:08d}.safetensors"
        write_checkpoint(path, checkpoint)
        for old in self.paths()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def save_best(self, checkpoint: Checkpoint) -> Path:
        """Store the checkpoint with the best evaluation so far in place of the one before."""
        self._make()
        write_checkpoint(self.folder / BEST, checkpoint)
        return self.folder / BEST

    def latest(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest checkpoint that can be read.

        Returns:
            The checkpoint, None if there is none; and what is wrong with newer ones that were passed over.

        Raises:
            CheckpointError: if there are checkpoints, but none can be read.
        """
        troubles: list[str] = []
        for path in self.paths():
            try:
                return read_checkpoint(path), troubles
            except CheckpointError as error:
                troubles.append(str(error))
        if troubles:
            raise CheckpointError(
                f"{self.folder}: none of {len(troubles)} checkpoints can be used: restore one or start "
                f"afresh (resume=False, --fresh). The newest: {troubles[0].partition(';')[0]}"
            )
        return None, []

    def clean(self) -> None:
        """Delete what writes that were killed left behind."""
        for part in self.folder.glob(".*.part"):
            part.unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete all checkpoints."""
        for path in (*self.paths(), self.folder / BEST):
            path.unlink(missing_ok=True)

    def _make(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"{self.folder}: cannot make the folder ({error.strerror}): choose another one"
            ) from None


def find_checkpoint(path: Path) -> Path:
    """The checkpoint to take a model from.

    Args:
        path: the folder of a run, whose best checkpoint is taken if it has one and else its newest; or a
            checkpoint.

    Raises:
        CheckpointError: if the folder has none.
    """
    if not path.is_dir():
        return path
    folder = CheckpointFolder(path)
    for candidate in (folder.folder / BEST, *folder.paths()):
        if candidate.is_file():
            return candidate
    raise CheckpointError(f"{path}: no checkpoint in this folder; train first, or name another one")
