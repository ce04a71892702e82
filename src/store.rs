//! What is kept: organizations, keys, admins, audit, in SQLite or Postgres.
