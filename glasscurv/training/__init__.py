"""Minibatch training with a history, curvature snapshots and checkpoints that a killed run resumes from."""

from glasscurv.training.checkpoint import Checkpoint, load_checkpoint
from glasscurv.training.compressed import CompressedNetwork, save_compressed
from glasscurv.training.history import EpochRecord, History, SnapshotHistory
from glasscurv.training.loop import train
from glasscurv.training.snapshots import Snapshots

__all__ = [
    "Checkpoint",
    "CompressedNetwork",
    "EpochRecord",
    "History",
    "SnapshotHistory",
    "Snapshots",
    "load_checkpoint",
    "save_compressed",
    "train",
]
