-- A hundred thousand agents: a page of their list reads its own rows only, in the order of sites.
CREATE INDEX agent_registration ON agent (registration);
-- Counts, and what reports ask.
CREATE INDEX agent_revoked ON agent (organisation, revoked);
-- Tokens that can still enrol, newest first, among all that were ever used up.
CREATE INDEX enrolment_token_unused ON enrolment_token (organisation, id) WHERE revoked IS NULL AND uses < max_uses;
-- A provider or a location ends when no valid registration names it.
CREATE INDEX registration_provider ON registration (provider);
CREATE INDEX registration_location ON registration (location);
-- Whether a finished re-attribution is written down already.
CREATE INDEX audit_reattribution ON audit (organisation, after) WHERE what = 'registration reattribute';
