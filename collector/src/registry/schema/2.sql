-- An agent's measurements count for its site's registrations, one after another, and for those of sites it enrolled for
-- before: found by each push.
CREATE INDEX registration_site ON registration (organisation, site);
CREATE INDEX enrolment_agent ON enrolment (agent);

-- When it last pushed, and the longest interval of that batch: without both nobody can say that it is silent.
ALTER TABLE agent ADD COLUMN last_push INTEGER;
ALTER TABLE agent ADD COLUMN interval_ms INTEGER;
