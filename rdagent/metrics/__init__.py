"""Metrics by name: direction, what they need, plain values and vectorised resamples."""

from rdagent.metrics.catalogue import METRICS, Metric, default_metric, find_metric, get_metric

__all__ = ["METRICS", "Metric", "default_metric", "find_metric", "get_metric"]
