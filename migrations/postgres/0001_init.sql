-- Ids and slugs compare as bytes, whatever the collation of the database. JSON is text, hashes are 32 bytes.

-- Where the write history stands: one row, and the first that every write locks.
CREATE TABLE meta (
    only_row   BIGINT PRIMARY KEY CHECK (only_row = 1),
    revision   BIGINT NOT NULL,
    epoch      TEXT NOT NULL,
    audit_head BYTEA NOT NULL
);

CREATE TABLE org (
    id                TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name              TEXT NOT NULL,
    slug              TEXT COLLATE "C" NOT NULL,
    suspended_at      TIMESTAMPTZ,
    suspension_reason TEXT,
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    deleted_at        TIMESTAMPTZ,
    revision          BIGINT NOT NULL
);

CREATE UNIQUE INDEX org_slug ON org (slug) WHERE deleted_at IS NULL;

CREATE TABLE api_key (
    id                TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    org_id            TEXT COLLATE "C" NOT NULL REFERENCES org (id),
    name              TEXT NOT NULL,
    environment       TEXT NOT NULL,
    permissions       TEXT NOT NULL,
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    expires_at        TIMESTAMPTZ,
    disabled_at       TIMESTAMPTZ,
    revoked_at        TIMESTAMPTZ,
    revocation_reason TEXT,
    revision          BIGINT NOT NULL
);

CREATE INDEX api_key_org ON api_key (org_id, id);

-- `revision` is the one at which the secret was made: it orders the secrets of a key even within one millisecond.
CREATE TABLE secret (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    key_id     TEXT COLLATE "C" NOT NULL REFERENCES api_key (id),
    hash       BYTEA NOT NULL UNIQUE,
    hash_alg   TEXT NOT NULL,
    pepper_id  TEXT,
    hint       TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revision   BIGINT NOT NULL
);

CREATE INDEX secret_key ON secret (key_id, revision);

CREATE TABLE admin (
    id         TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    hash       BYTEA NOT NULL UNIQUE,
    hash_alg   TEXT NOT NULL,
    pepper_id  TEXT,
    hint       TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ,
    revision   BIGINT NOT NULL
);

-- Every column but the last two is hashed; `at` is text on both engines because the stored text is the hashed text.
CREATE TABLE audit (
    revision   BIGINT PRIMARY KEY NOT NULL,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
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
    prev_hash  BYTEA NOT NULL,
    hash       BYTEA NOT NULL
);

-- What a follower reads: one row per revision. The random tag tells two histories apart that reached the same number.
CREATE TABLE change (
    revision BIGINT PRIMARY KEY NOT NULL,
    kind     TEXT NOT NULL,
    id       TEXT COLLATE "C" NOT NULL,
    tag      TEXT NOT NULL
);
