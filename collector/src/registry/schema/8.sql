-- Links that show one provider's own numbers alone, to whoever holds them, until they expire or are revoked.
CREATE TABLE provider_link (
    id           INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    provider     TEXT NOT NULL,     -- its name, by which reports know it after its end, too
    note         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    created      INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    expires      INTEGER NOT NULL,
    revoked      INTEGER,
    opened       INTEGER NOT NULL DEFAULT 0,
    last_opened  INTEGER
) STRICT;
