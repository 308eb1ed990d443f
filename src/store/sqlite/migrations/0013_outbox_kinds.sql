-- Links for forgotten passwords are looked for by themselves.
CREATE INDEX outbox_kind ON outbox (kind, due_at);
