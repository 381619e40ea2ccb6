-- Alerts: the rules in force (a set for each change), where trouble is expected, what is bad, what people were told of it, and
-- what is still to be delivered. JSON columns hold what the alerts' own types say.
CREATE TABLE alert_rules (
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    number       INTEGER NOT NULL,
    rules        TEXT NOT NULL,     -- JSON list of rules
    created      INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    PRIMARY KEY (organisation, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_maintenance (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    scope        TEXT NOT NULL,     -- JSON
    since        INTEGER NOT NULL,
    until        INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    created_by   TEXT NOT NULL
) STRICT;
CREATE INDEX alert_maintenance_until ON alert_maintenance (organisation, until);

-- What is bad but perhaps nobody's business yet, and the number of the next alert.
CREATE TABLE alert_standing (
    organisation INTEGER PRIMARY KEY REFERENCES organisation (id),
    next         INTEGER NOT NULL,
    held         TEXT NOT NULL      -- JSON list
) STRICT;

CREATE TABLE alert (
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    id           INTEGER NOT NULL,
    resolved     INTEGER,
    alert        TEXT NOT NULL,     -- JSON
    PRIMARY KEY (organisation, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_open ON alert (organisation, id) WHERE resolved IS NULL;
CREATE INDEX alert_resolved ON alert (resolved) WHERE resolved IS NOT NULL;

CREATE TABLE alert_delivery (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    receiver     TEXT NOT NULL,
    alert        INTEGER NOT NULL,
    event        TEXT NOT NULL,     -- JSON
    created      INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER NOT NULL,
    error        TEXT,              -- of the last attempt
    ended        INTEGER,           -- when it was delivered or given up
    delivered    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX alert_delivery_due ON alert_delivery (receiver, id) WHERE ended IS NULL;
CREATE INDEX alert_delivery_alert ON alert_delivery (organisation, alert);
