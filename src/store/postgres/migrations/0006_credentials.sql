-- Since when tokens of a user count, where some were ended: those that were issued before do not.
CREATE TABLE validity (
  user_id bigint PRIMARY KEY,
  tokens_valid_from bigint NOT NULL
);

-- What the authorization server keeps. Those who are in one group go together; `used_by` names the attempt
-- that used it, so that it knows itself again.
CREATE TABLE documents (
  kind text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  payload jsonb NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  used_at bigint,
  used_by text,
  group_id text COLLATE "C",
  alias text COLLATE "C",
  user_id bigint,
  PRIMARY KEY (kind, id)
) WITH (fillfactor = 80);
CREATE INDEX documents_expires_at ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX documents_group_id ON documents (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX documents_alias ON documents (kind, alias) WHERE alias IS NOT NULL;
CREATE INDEX documents_user_id ON documents (user_id) WHERE user_id IS NOT NULL;

CREATE OR REPLACE FUNCTION forget(erased bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  DELETE FROM receipts WHERE user_id = erased;
  DELETE FROM counters WHERE user_id = erased;
  DELETE FROM passwords WHERE user_id = erased;
  DELETE FROM validity WHERE user_id = erased;
  DELETE FROM documents WHERE user_id = erased;
$$;
