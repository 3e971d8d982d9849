"""Scores: `hidden` for the loop; `eval_folder` and `mle_bench` after the fact."""
