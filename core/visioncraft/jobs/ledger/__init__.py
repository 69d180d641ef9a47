"""The ledger of jobs: what was accepted, what goes on and how it ended, on disk."""
