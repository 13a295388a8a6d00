"""What vendors promise: dense FLOP/s of a device at a precision, for devices whose data sheet is known."""

from __future__ import annotations

from collections.abc import Mapping

Peaks = Mapping[str, float]


def _tera(**peaks: float) -> Peaks:
    return {precision: value * 1e12 for precision, value in peaks.items()}


# Dense: half of what data sheets state "with sparsity". fp32 is without tensor cores; fp16 and bf16 add up in fp32.
# NVIDIA H100 Tensor Core GPU Architecture; H200 data sheet
_HOPPER_SXM = _tera(fp32=66.9, tf32=494.7, bf16=989.4, fp16=989.4)
_HOPPER_PCIE = _tera(fp32=51.2, tf32=378.0, bf16=756.0, fp16=756.0)
# NVIDIA A100 Tensor Core GPU data sheet, SXM and PCIe alike
_A100 = _tera(fp32=19.5, tf32=156.0, bf16=312.0, fp16=312.0)

# by the exact name that the driver gives: an "H200 NVL" or a "4090 Laptop GPU" is another device
_BY_NAME: Mapping[str, Peaks] = {
    "NVIDIA H200": _HOPPER_SXM,
    "NVIDIA H100 80GB HBM3": _HOPPER_SXM,
    "NVIDIA H100 PCIe": _HOPPER_PCIE,
    "NVIDIA A100-SXM4-40GB": _A100,
    "NVIDIA A100-SXM4-80GB": _A100,
    "NVIDIA A100-PCIE-40GB": _A100,
    "NVIDIA A100 80GB PCIe": _A100,
    "NVIDIA L4": _tera(fp32=30.3, tf32=60.0, bf16=121.0, fp16=121.0),  # NVIDIA L4 Tensor Core GPU data sheet
    "Tesla T4": _tera(fp32=8.1, fp16=65.0),  # NVIDIA T4 data sheet; it has neither tf32 nor bf16
    "NVIDIA GeForce RTX 4090": _tera(fp32=82.6, tf32=82.6, bf16=165.2, fp16=165.2),  # NVIDIA Ada GPU Architecture
}


def vendor_peak(device_name: str, precision: str) -> float | None:
    """Dense FLOP/s of a device by the name that its driver gives; None where no data sheet is known here."""
    return _BY_NAME.get(device_name, {}).get(precision)
