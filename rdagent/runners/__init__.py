"""Where programs run: one file a runner, all behind `interfaces.Runner`."""
