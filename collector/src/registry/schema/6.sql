-- Target sets: what agents are assigned, in numbered versions. A set never changes: each change of it makes another.
CREATE TABLE target_set (
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    number       INTEGER NOT NULL,
    made_of      INTEGER,           -- the set that was in force before it; 0 for none, NULL if nobody knows
    targets      TEXT NOT NULL,     -- JSON list of numbers of targets
    created      INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    PRIMARY KEY (organisation, number)
) STRICT, WITHOUT ROWID;

-- Which set is in force, which one is staged, and how many thousandths of the agents have that already.
CREATE TABLE roll_out (
    organisation   INTEGER PRIMARY KEY REFERENCES organisation (id),
    in_force       INTEGER NOT NULL,
    staged         INTEGER,
    share_permille INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What was assigned so far is the first set.
INSERT INTO target_set (organisation, number, targets, created, created_by)
    SELECT organisation, 1, json_group_array(id), max(created), 'upgrade' FROM target WHERE ended IS NULL
    GROUP BY organisation;
INSERT INTO roll_out (organisation, in_force) SELECT organisation, 1 FROM target_set;
DROP INDEX target_scope;
ALTER TABLE target DROP COLUMN ended;
ALTER TABLE target ADD COLUMN tag TEXT;

-- What an operator calls an agent by, to assign targets to it: a JSON list.
ALTER TABLE agent ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
-- Who retired it, if that is why its requests are refused: an operator, or `agent` for its own machine.
ALTER TABLE agent ADD COLUMN retired_by TEXT;
-- When it last told that it had to give up more than before.
ALTER TABLE agent ADD COLUMN last_loss INTEGER;
-- The target set that it holds, the one that it refuses, and the latest whose refusal was written down.
ALTER TABLE agent ADD COLUMN held_set INTEGER;
ALTER TABLE agent ADD COLUMN refused_set INTEGER;
ALTER TABLE agent ADD COLUMN remarked_set INTEGER NOT NULL DEFAULT 0;
CREATE INDEX agent_sets ON agent (organisation, held_set, refused_set) WHERE revoked IS NULL;
-- A machine that was set up anew is known by its name. The site's other agents are found by their own index.
CREATE INDEX agent_host ON agent (host, registration);

-- From where a token may be used (a JSON list of prefixes, empty for anywhere), what its agents are tagged with, and whether
-- machines that were set up anew become the agents that they were.
ALTER TABLE enrolment_token ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';
ALTER TABLE enrolment_token ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE enrolment_token ADD COLUMN re_enrol INTEGER NOT NULL DEFAULT 0;
