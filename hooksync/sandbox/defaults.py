"""The account that a sandbox has where nothing else is asked for. Toy values on loopback, for all to read."""

USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"  # noqa: S105  a toy's, documented in the help
PASSWORD_ENV = "SANDBOX_PASSWORD"  # noqa: S105  the variable that replaces it
TENANT = "DEMO"
ROLE = "ROLE_SDB_MANAGER_USER"
