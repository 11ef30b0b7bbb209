"""Search for the overlay that suits networks, a part and a goal."""

from tf2.search.chart import svg_chart, text_chart
from tf2.search.exploration import Goal, Point, SearchResult, Wish, explore
from tf2.search.space import Budget
from tf2.search.targets import Surroundings, surroundings

__all__ = [
    "Budget",
    "Goal",
    "Point",
    "SearchResult",
    "Surroundings",
    "Wish",
    "explore",
    "surroundings",
    "svg_chart",
    "text_chart",
]
