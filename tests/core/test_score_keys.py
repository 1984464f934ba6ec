"""Names of scores on one of several targets."""

from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.score_keys import display_score_key, join_score_key, parse_score_key, split_score_key

metrics = st.sampled_from(["rmse", "log_rmse", "f1_macro", "top_3_accuracy"])


@given(metrics, st.text(min_size=1, max_size=12))
def test_any_name_of_a_target_comes_back(metric, target):
    key = join_score_key(metric, target)
    assert split_score_key(key) == (metric, target)
    assert split_score_key(display_score_key(key)) == (metric.replace("_", "-"), target)


@given(metrics, st.sampled_from(["", "test", "validation", "out_of_fold"]), st.text("aB-_. x", min_size=1))
def test_what_a_user_writes_is_a_part_and_a_score(metric, part, target):
    written = f"{part.replace('_', '-')}." if part else ""
    assert parse_score_key(f"{written}{display_score_key(metric)}") == (part, metric)
    key = join_score_key(metric.replace("_", "-"), target)
    assert parse_score_key(f"{written}{key}") == (part, join_score_key(metric, target))
