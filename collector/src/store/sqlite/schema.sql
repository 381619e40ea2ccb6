-- The store, version 7. Times are whole seconds since 1970-01-01T00:00:00Z unless they say microseconds.

-- Dictionaries: blocks name what they are about by number. What one organisation calls its targets is nothing to the
-- others.
CREATE TABLE agent (id INTEGER PRIMARY KEY, agent BLOB NOT NULL UNIQUE);
CREATE TABLE session (
    id      INTEGER PRIMARY KEY,
    agent   INTEGER NOT NULL,
    session BLOB NOT NULL,
    since   INTEGER NOT NULL,          -- the minute of its batch 0, had there been one a minute until its first was received
    UNIQUE (agent, session)
);
CREATE TABLE origin (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL,
    registration INTEGER NOT NULL,
    uplink       TEXT NOT NULL,
    attribution  INTEGER NOT NULL,     -- 0 verified, 1 declared, 2 off-prefix
    prefix       TEXT NOT NULL,        -- in CIDR form; empty for none
    UNIQUE (organisation, registration, uplink, attribution, prefix)
);
CREATE TABLE shape (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL,
    shape        BLOB NOT NULL,
    definition   TEXT NOT NULL,
    described_us INTEGER NOT NULL,     -- when the definition last changed
    -- Grows over all shapes with each new definition, so that readers know which of theirs are out of date.
    revised      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (organisation, shape)
);
CREATE INDEX shape_by_revision ON shape (revised) WHERE revised > 0;

-- Every batch that was ever acknowledged, for as long as it could be sent again. Compaction never touches it. Sessions count
-- their batches, and mostly make one a minute: by `turn`, the session's `since` and the batch's sequence, what a fleet sends
-- in a minute stands together, and a transaction writes few pages.
CREATE TABLE ledger (
    turn       INTEGER NOT NULL,
    session    INTEGER NOT NULL,
    sha256     BLOB NOT NULL,
    newest_end INTEGER NOT NULL,
    PRIMARY KEY (turn, session)
) WITHOUT ROWID;
CREATE INDEX ledger_by_age ON ledger (newest_end);

-- The log: one row for each batch that is not yet in segments, its measurements in one block of records.
CREATE TABLE batch (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL,
    agent        INTEGER NOT NULL,
    received_us  INTEGER NOT NULL,
    oldest_start INTEGER NOT NULL,
    newest_start INTEGER NOT NULL,
    probes       INTEGER NOT NULL,     -- as segments have them
    -- A hash of its rows, if all its measurements are of one interval of a minute: who reads which agent measured what need not
    -- read the block of a batch whose rows are known.
    rows         INTEGER,
    block        BLOB NOT NULL
);
-- Who asks when batches were measured, and by whom, does not read past their blocks.
CREATE INDEX batch_by_time ON batch (oldest_start, newest_start, organisation, agent, rows);

-- Up to which batch the agents of a stripe have been folded into segments: what the log still holds of these does not
-- count any more. It leaves the log in one sweep, and this with it.
CREATE TABLE folded (stripe INTEGER PRIMARY KEY, batch INTEGER NOT NULL);

-- Segments: what was measured, a quarter hour of a metric of a stripe of agents in a block or few (resolution 0), and the
-- rollups of it to 15 minutes (900, in the end an hour of them in a block) and to UTC days (86400). Rollups are recomputed
-- and replaced, never incremented.
CREATE TABLE segment (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL,
    resolution   INTEGER NOT NULL,
    metric       TEXT NOT NULL,
    start        INTEGER NOT NULL,
    stripe       INTEGER NOT NULL,
    part         INTEGER NOT NULL,
    cells        INTEGER NOT NULL,     -- how many histograms its block holds
    probes       INTEGER NOT NULL,     -- how many turns of schedules they account for
    block        BLOB NOT NULL,
    UNIQUE (organisation, resolution, metric, start, stripe, part)
);
CREATE INDEX segment_by_age ON segment (resolution, start);

-- Spans whose rollup does not hold all that their finer segments hold: a quarter hour (900) or a day (86400); and hours whose
-- quarter hours stand in several segments, and are to stand in one (3600).
CREATE TABLE stale (
    resolution   INTEGER NOT NULL,
    start        INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    stripe       INTEGER NOT NULL,
    PRIMARY KEY (resolution, start, organisation, stripe)
) WITHOUT ROWID;

-- When each agent of a stripe first and last measured what, as far as it is in segments: what coverage is counted against.
CREATE TABLE presence (
    organisation INTEGER NOT NULL,
    stripe       INTEGER NOT NULL,
    block        BLOB NOT NULL,
    PRIMARY KEY (organisation, stripe)
);

-- The start of the oldest span that each resolution (0 for what was measured, -1 for the ledger) still holds in full.
-- Never falls.
CREATE TABLE kept_from (resolution INTEGER PRIMARY KEY, start INTEGER NOT NULL);

-- Re-attributions: work to be done and, once it is finished, its history. What a transaction moved is counted in it.
CREATE TABLE reattribution (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL,
    source       INTEGER NOT NULL,
    target       INTEGER NOT NULL,
    prefixes     TEXT NOT NULL,          -- of the target; JSON list in CIDR form
    since        INTEGER,
    until        INTEGER NOT NULL,
    who          TEXT NOT NULL,
    reason       TEXT NOT NULL,
    begun_us     INTEGER NOT NULL,
    measurements INTEGER NOT NULL DEFAULT 0,
    rollup_rows  INTEGER NOT NULL DEFAULT 0,
    probes       INTEGER NOT NULL DEFAULT 0,
    spans        INTEGER NOT NULL DEFAULT 0,
    unreadable   INTEGER NOT NULL DEFAULT 0,
    finished_us  INTEGER
);

-- Batches of the log that did not decode when they were folded, as they were: the file was damaged. No report counts them.
CREATE TABLE damaged (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL,
    agent        INTEGER NOT NULL,
    received_us  INTEGER NOT NULL,
    block        BLOB NOT NULL
);

-- What is missing from the measurements of a UTC hour, and why: the totals of agents' accounts, by their accounts' names, and
-- what the collector itself refused or set aside, under an empty one.
CREATE TABLE dropped (
    id             INTEGER PRIMARY KEY,
    organisation   INTEGER NOT NULL,
    agent          INTEGER NOT NULL,
    hour           INTEGER NOT NULL,
    account        BLOB NOT NULL,
    uplink         TEXT NOT NULL,
    reason         TEXT NOT NULL,
    registration   INTEGER,              -- chosen when it was first heard of; NULL where that was lost, too
    measurements   INTEGER NOT NULL,     -- as far as their number is known
    turns          INTEGER NOT NULL,
    unread_batches INTEGER NOT NULL,     -- batches of which nobody knows how many measurements they held
    first          INTEGER NOT NULL,     -- the start of the earliest interval, the end of the latest
    last           INTEGER NOT NULL,
    UNIQUE (agent, hour, account, uplink, reason)
);
CREATE INDEX dropped_by_time ON dropped (organisation, last);
CREATE INDEX dropped_by_age ON dropped (last);

-- What is counted as it changes rather than when somebody asks: the ledger's entries (ledger), the turns of schedules that
-- were ever stored (stored), those that expired (expired) or were set aside (damaged), and when the newest batch was
-- received, in microseconds (received); and measurements that are known to have been dropped, by reason (dropped:REASON).
CREATE TABLE tally (what TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
