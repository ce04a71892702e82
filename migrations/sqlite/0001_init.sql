-- STRICT keeps a column's type what it says, as Postgres does. Times are RFC 3339 text in UTC, JSON is text, hashes are 32 bytes.

-- Where the write history stands: one row, and the first that every write locks.
CREATE TABLE meta (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision   INTEGER NOT NULL,
    epoch      TEXT NOT NULL,
    audit_head BLOB NOT NULL
) STRICT;

CREATE TABLE org (
    id                TEXT PRIMARY KEY NOT NULL,
    name              TEXT NOT NULL,
    slug              TEXT NOT NULL,
    suspended_at      TEXT,
    suspension_reason TEXT,
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    deleted_at        TEXT,
    revision          INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX org_slug ON org (slug) WHERE deleted_at IS NULL;

CREATE TABLE api_key (
    id                TEXT PRIMARY KEY NOT NULL,
    org_id            TEXT NOT NULL REFERENCES org (id),
    name              TEXT NOT NULL,
    environment       TEXT NOT NULL,
    permissions       TEXT NOT NULL,
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    expires_at        TEXT,
    disabled_at       TEXT,
    revoked_at        TEXT,
    revocation_reason TEXT,
    revision          INTEGER NOT NULL
) STRICT;

CREATE INDEX api_key_org ON api_key (org_id, id);

-- `revision` is the one at which the secret was made: it orders the secrets of a key even within one millisecond.
CREATE TABLE secret (
    id         TEXT PRIMARY KEY NOT NULL,
    key_id     TEXT NOT NULL REFERENCES api_key (id),
    hash       BLOB NOT NULL UNIQUE,
    hash_alg   TEXT NOT NULL,
    pepper_id  TEXT,
    hint       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revision   INTEGER NOT NULL
) STRICT;

CREATE INDEX secret_key ON secret (key_id, revision);

CREATE TABLE admin (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    hash_alg   TEXT NOT NULL,
    pepper_id  TEXT,
    hint       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    revoked_at TEXT,
    revision   INTEGER NOT NULL
) STRICT;

-- Every column but the last two is hashed; `at` is text on both engines because the stored text is the hashed text.
CREATE TABLE audit (
    revision   INTEGER PRIMARY KEY NOT NULL,
    id         TEXT NOT NULL UNIQUE,
    at         TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id   TEXT,
    action     TEXT NOT NULL,
    target     TEXT NOT NULL,
    reason     TEXT,
    before     TEXT,
    after      TEXT,
    request_id TEXT,
    address    TEXT,
    prev_hash  BLOB NOT NULL,
    hash       BLOB NOT NULL
) STRICT;

-- What a follower reads: one row per revision. The random tag tells two histories apart that reached the same number.
CREATE TABLE change (
    revision INTEGER PRIMARY KEY NOT NULL,
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    tag      TEXT NOT NULL
) STRICT;
