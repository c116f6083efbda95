"""Patterns of ONNX graphs that the HTP or its converter is known to compute wrong, found before conversion."""

from __future__ import annotations

from snpe_tools.graph.lint.patterns import Finding, findings, require_right

__all__ = ["Finding", "findings", "require_right"]
