"""The wire's documents, as `api-contract.md` has them: they feed validation and OpenAPI, domain types know nothing."""
