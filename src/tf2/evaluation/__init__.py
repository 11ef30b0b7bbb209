"""How good a model is: accuracy on labelled samples, and one level of execution against another."""

from tf2.evaluation.accuracy import Accuracy, PairedAccuracy, accuracy, paired_accuracy
from tf2.evaluation.compare import Comparison, Level, ValueDifference, compare, matching_values
from tf2.evaluation.differences import Difference, ExactComparison, exact_differences
from tf2.evaluation.scores import Ranks, class_scores, ranks, top_classes

__all__ = [
    "Accuracy",
    "Comparison",
    "Difference",
    "ExactComparison",
    "Level",
    "PairedAccuracy",
    "Ranks",
    "ValueDifference",
    "accuracy",
    "class_scores",
    "compare",
    "exact_differences",
    "matching_values",
    "paired_accuracy",
    "ranks",
    "top_classes",
]
