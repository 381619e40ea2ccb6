-- When the life of an agent's key began, and the key that follows it: known, but not used yet. The lives of keys from
-- before keys had one begin now, which is later than their enrolment.
ALTER TABLE agent ADD COLUMN key_since INTEGER NOT NULL DEFAULT 0;
UPDATE agent SET key_since = max(enrolled, CAST(unixepoch('subsec') * 1000000 AS INTEGER));
ALTER TABLE agent ADD COLUMN next_key BLOB;
ALTER TABLE agent ADD COLUMN next_key_since INTEGER;
CREATE UNIQUE INDEX agent_next_key ON agent (next_key) WHERE next_key IS NOT NULL;

-- Keys that no request is believed by any more, and no agent may bring again.
CREATE TABLE retired_key (
    public_key BLOB PRIMARY KEY,
    agent      BLOB NOT NULL REFERENCES agent (id),
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The agent that the token brings a new key to; and how often its use was written down without enrolling anybody anew.
ALTER TABLE enrolment_token ADD COLUMN agent BLOB REFERENCES agent (id);
ALTER TABLE enrolment_token ADD COLUMN remarks INTEGER NOT NULL DEFAULT 0;
