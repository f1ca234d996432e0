"""Tasks: from files to features for the model, from the model's scores to answers and official scores. NumPy only."""
