"""From raw text to pre-training batches: corpus → sentences → shards → segments → masking → batches. NumPy only."""
