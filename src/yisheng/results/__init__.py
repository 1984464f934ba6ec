"""What a training and a search return in Python: a folder, and what can be done with it."""

from yisheng.results.search_result import SearchResult
from yisheng.results.trained_run import TrainedRun

__all__ = ["SearchResult", "TrainedRun"]
