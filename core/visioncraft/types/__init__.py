"""Frozen dataclasses that the API, jobs, workers and plugins share.

Plain values only, so that they can be sent to a worker process. Nothing here imports numpy, pydantic or torch.
"""
