-- Times are microseconds since 1970-01-01T00:00:00Z. Nothing is deleted: entries end, so that history keeps its names.

CREATE TABLE organisation (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO organisation (id, name) VALUES (1, 'default');

CREATE TABLE provider (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    name         TEXT NOT NULL,
    folded       TEXT NOT NULL,
    kind         TEXT NOT NULL,
    countries    TEXT NOT NULL,     -- JSON list of ISO 3166-1 alpha-2
    aliases      TEXT NOT NULL,     -- JSON list
    asns         TEXT NOT NULL,     -- JSON list of numbers
    source       TEXT,
    created      INTEGER NOT NULL,
    ended        INTEGER
) STRICT;
CREATE UNIQUE INDEX provider_name ON provider (organisation, folded) WHERE ended IS NULL;

CREATE TABLE location (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    code         TEXT NOT NULL,     -- ISO 3166-2
    name         TEXT NOT NULL,
    time_zone    TEXT NOT NULL,     -- IANA
    latitude     REAL,
    longitude    REAL,
    created      INTEGER NOT NULL,
    ended        INTEGER
) STRICT;
CREATE UNIQUE INDEX location_code ON location (organisation, code) WHERE ended IS NULL;

CREATE TABLE registration (
    id               INTEGER PRIMARY KEY,
    organisation     INTEGER NOT NULL REFERENCES organisation (id),
    site             TEXT NOT NULL,
    provider         INTEGER NOT NULL REFERENCES provider (id),
    location         INTEGER NOT NULL REFERENCES location (id),
    prefixes         TEXT NOT NULL, -- JSON list in CIDR form
    count_declared   INTEGER NOT NULL,
    allow_non_public INTEGER NOT NULL,
    nested           INTEGER NOT NULL,
    valid_from       INTEGER NOT NULL,
    valid_to         INTEGER,
    created          INTEGER NOT NULL
) STRICT;
CREATE INDEX registration_organisation ON registration (organisation);

CREATE TABLE enrolment_token (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    registration INTEGER NOT NULL REFERENCES registration (id),
    hash         BLOB NOT NULL UNIQUE,
    max_uses     INTEGER NOT NULL,
    uses         INTEGER NOT NULL DEFAULT 0,
    expires      INTEGER NOT NULL,
    created      INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    revoked      INTEGER
) STRICT;

CREATE TABLE agent (
    id              BLOB PRIMARY KEY,
    organisation    INTEGER NOT NULL REFERENCES organisation (id),
    registration    INTEGER NOT NULL REFERENCES registration (id),
    public_key      BLOB NOT NULL UNIQUE,
    host            TEXT NOT NULL,
    version         TEXT NOT NULL,
    enrolled        INTEGER NOT NULL,
    enrolled_from   TEXT NOT NULL,
    revoked         INTEGER,
    last_seen       INTEGER,
    address         TEXT,
    clock_offset_us INTEGER,
    session         BLOB,
    health          TEXT,           -- JSON
    newest_batch    INTEGER,        -- when the batch that told it was made, on the collector's clock
    cloned_since    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_organisation ON agent (organisation);

-- Which key each token enrolled: asking again gets the same answer.
CREATE TABLE enrolment (
    token      INTEGER NOT NULL REFERENCES enrolment_token (id),
    public_key BLOB NOT NULL,
    agent      BLOB NOT NULL REFERENCES agent (id),
    at         INTEGER NOT NULL,
    PRIMARY KEY (token, public_key)
) STRICT, WITHOUT ROWID;

-- The time that each of an agent's recent sessions measured, on the collector's clock.
CREATE TABLE agent_session (
    agent   BLOB NOT NULL REFERENCES agent (id),
    session BLOB NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (agent, session)
) STRICT, WITHOUT ROWID;

CREATE TABLE target (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    target       BLOB NOT NULL,     -- peerlight_proto::id::TargetId
    name         TEXT NOT NULL,
    service      TEXT NOT NULL,
    address      TEXT NOT NULL,
    probe        TEXT NOT NULL,
    interval_ms  INTEGER,
    provider     INTEGER REFERENCES provider (id),
    location     INTEGER REFERENCES location (id),
    created      INTEGER NOT NULL,
    ended        INTEGER
) STRICT;
CREATE UNIQUE INDEX target_scope ON target (organisation, target, ifnull(provider, 0), ifnull(location, 0))
    WHERE ended IS NULL;

CREATE TABLE operator_token (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    created      INTEGER NOT NULL,
    revoked      INTEGER
) STRICT;
CREATE UNIQUE INDEX operator_token_name ON operator_token (organisation, name) WHERE revoked IS NULL;

CREATE TABLE nonce (
    scope   TEXT NOT NULL,
    nonce   TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (scope, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX nonce_expires ON nonce (expires);

CREATE TABLE audit (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    at           INTEGER NOT NULL,
    who          TEXT NOT NULL,
    what         TEXT NOT NULL,
    object       TEXT NOT NULL,
    before       TEXT,              -- JSON
    after        TEXT               -- JSON
) STRICT;
