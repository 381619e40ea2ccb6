-- The store, version 3; reattribution.sql belongs to it. Times are whole seconds since 1970-01-01T00:00:00Z unless they say microseconds.

-- Agents and series by number, so that blocks stay small. A series has one number in each organisation: what one calls
-- its targets is nothing to the others.
CREATE TABLE agent (id INTEGER PRIMARY KEY, agent BLOB NOT NULL UNIQUE);
CREATE TABLE series (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL,
    series       BLOB NOT NULL,
    definition   TEXT NOT NULL,
    -- Grows over all series with each new definition, so that readers know which of theirs are out of date.
    revised      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (organisation, series)
);
CREATE INDEX series_by_revision ON series (revised) WHERE revised > 0;

-- Every batch that was ever acknowledged, for as long as it could be sent again. Compaction never touches it.
CREATE TABLE ledger (
    agent      INTEGER NOT NULL,
    session    BLOB NOT NULL,
    sequence   INTEGER NOT NULL,
    sha256     BLOB NOT NULL,
    newest_end INTEGER NOT NULL,
    PRIMARY KEY (agent, session, sequence)
) WITHOUT ROWID;
CREATE INDEX ledger_by_age ON ledger (newest_end);

-- The log: one row for each batch, its measurements in one block.
CREATE TABLE batch (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL,
    received_us  INTEGER NOT NULL,
    oldest_start INTEGER NOT NULL,
    newest_start INTEGER NOT NULL,
    block        BLOB NOT NULL
);
CREATE INDEX batch_by_time ON batch (newest_start);

-- Rollups: a few rows for each span, metric and organisation. Recomputed and replaced, never incremented.
CREATE TABLE rollup (
    resolution   INTEGER NOT NULL,
    start        INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    metric       TEXT NOT NULL,
    part         INTEGER NOT NULL,
    block        BLOB NOT NULL,
    PRIMARY KEY (resolution, start, organisation, metric, part)
);

-- Spans whose rollup does not hold all that its finer rows hold. Each put raises the generation.
CREATE TABLE stale (
    resolution   INTEGER NOT NULL,
    start        INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    PRIMARY KEY (resolution, start, organisation)
) WITHOUT ROWID;

-- When each agent first and last measured each series: what coverage is counted against.
CREATE TABLE presence (
    organisation INTEGER NOT NULL,
    agent        INTEGER NOT NULL,
    registration INTEGER NOT NULL,
    series       INTEGER NOT NULL,
    first        INTEGER NOT NULL,
    last         INTEGER NOT NULL,
    PRIMARY KEY (agent, series, registration)
) WITHOUT ROWID;

-- The start of the oldest span that each resolution (0 for batches, -1 for the ledger) still holds in full. Never falls.
CREATE TABLE kept_from (resolution INTEGER PRIMARY KEY, start INTEGER NOT NULL);
