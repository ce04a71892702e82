-- The server processes that follow this database. A row is a lease: its owner decides by what it has applied for at most
-- `max_staleness_ms` after it last renewed it.
CREATE TABLE replica (
    id               TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    address          TEXT NOT NULL,
    version          TEXT NOT NULL,
    policy_set       TEXT NOT NULL,
    acked_revision   BIGINT NOT NULL,
    max_staleness_ms BIGINT NOT NULL,
    started_at       TIMESTAMPTZ NOT NULL,
    seen_at          TIMESTAMPTZ NOT NULL
);

-- What a create answered, without its secret, so that it can be asked again under the same Idempotency-Key.
CREATE TABLE idempotency (
    admin_id   TEXT COLLATE "C" NOT NULL,
    route      TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    request    BYTEA NOT NULL,
    revision   BIGINT NOT NULL,
    answer     TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (admin_id, route, key)
);

CREATE INDEX idempotency_created_at ON idempotency (created_at);

-- Apart from `secret`, so that noting a use never waits for a write or makes one wait. No reference: a batch must not fail
-- because of one secret that a restore has taken away.
CREATE TABLE secret_use (
    secret_id    TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    last_used_at TIMESTAMPTZ NOT NULL
);
