-- The sites that an agent measures side by side, a JSON list of names; empty for an agent of one site.
ALTER TABLE agent ADD COLUMN uplinks TEXT NOT NULL DEFAULT '[]';
