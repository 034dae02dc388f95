"""Pruning and quantisation that see the glass (theory, section 9)."""

from glasscurv.compression.allocation import Allocation, allocate_bits
from glasscurv.compression.effects import CompressionEffect, measured_changes, predicted_changes
from glasscurv.compression.packing import pack, unpack
from glasscurv.compression.pruning import Pruned, prune
from glasscurv.compression.quantization import (
    DirectionalChanges,
    Quantized,
    directional_quantization_changes,
    expected_quantization_change,
    quantization_changes,
    quantize,
)
from glasscurv.compression.saliency import measured_saliency, pruning_saliency, removal_length

__all__ = [
    "Allocation",
    "CompressionEffect",
    "DirectionalChanges",
    "Pruned",
    "Quantized",
    "allocate_bits",
    "directional_quantization_changes",
    "expected_quantization_change",
    "measured_changes",
    "measured_saliency",
    "pack",
    "predicted_changes",
    "prune",
    "pruning_saliency",
    "quantization_changes",
    "quantize",
    "removal_length",
    "unpack",
]
