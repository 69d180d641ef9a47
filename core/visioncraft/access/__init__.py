"""Who may do what: scopes, access keys, and what somebody with a key sees of jobs and images."""
