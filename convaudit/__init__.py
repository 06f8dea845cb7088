"""convaudit: what the convolutions of a network cost, what ``groups`` saves, and whether each is right."""
