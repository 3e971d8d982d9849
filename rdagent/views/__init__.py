"""The folders that programs see, and the host"s key to each."""

from rdagent.views.build import View, build_views, predict_view, read_key

__all__ = ["View", "build_views", "predict_view", "read_key"]
