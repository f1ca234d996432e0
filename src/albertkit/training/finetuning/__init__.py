"""Fine-tuning: from a checkpoint and a task's files to a model that answers, with its scores."""
