"""Training and test data for planners: requests in English and Chinese, and the programs that answer them."""

from .stream import FAMILIES, SPLITS, PlannerExample, planner_examples

__all__ = ["FAMILIES", "SPLITS", "PlannerExample", "planner_examples"]
