-- Re-attributions: work to be done and, once it is finished, its history. What a transaction moved and how far that was
-- are written together, so that work goes on after a crash where it stopped.
CREATE TABLE IF NOT EXISTS reattribution (
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
    stage        INTEGER NOT NULL,       -- 86400 days, 900 quarter hours, 0 batches: in this order
    cursor       INTEGER NOT NULL,       -- the start of the next span, or the number of the last batch
    measurements INTEGER NOT NULL DEFAULT 0,
    rollup_rows  INTEGER NOT NULL DEFAULT 0,
    probes       INTEGER NOT NULL DEFAULT 0,
    spans        INTEGER NOT NULL DEFAULT 0,
    unreadable   INTEGER NOT NULL DEFAULT 0,
    finished_us  INTEGER
);
