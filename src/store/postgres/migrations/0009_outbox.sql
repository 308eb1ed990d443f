-- Mails that wait to be sent, or are being sent by whoever has taken them.
CREATE TABLE outbox (
  id text COLLATE "C" PRIMARY KEY,
  kind text NOT NULL,
  address text NOT NULL,
  user_id bigint,
  at bigint NOT NULL,
  expires_at bigint NOT NULL,
  payload jsonb NOT NULL,
  due_at bigint NOT NULL,
  taken_until bigint,
  tries int NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX outbox_due_at ON outbox (due_at);
CREATE INDEX outbox_user_id ON outbox (user_id) WHERE user_id IS NOT NULL;

-- Done once an erasure has the lock on the user, as `forget`.
CREATE FUNCTION forget_outbox(erased bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  DELETE FROM outbox WHERE user_id = erased;
$$;
