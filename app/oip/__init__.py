"""The Open Inference Protocol, version 2 (REST), as KServe specifies it and Triton extends it."""
