"""Networks with fewer weights: random, by magnitude, and whole channels; fine-tuned."""
