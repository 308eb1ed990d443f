-- Since when tokens of a user count, where some were ended: those that were issued before do not.
CREATE TABLE validity (
  user_id INTEGER PRIMARY KEY,
  tokens_valid_from INTEGER NOT NULL
) STRICT;

-- What the authorization server keeps; `payload` is JSON. Those who are in one group go together.
CREATE TABLE documents (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  used_at INTEGER,
  group_id TEXT,
  alias TEXT,
  user_id INTEGER,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX documents_expires_at ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX documents_group_id ON documents (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX documents_alias ON documents (kind, alias) WHERE alias IS NOT NULL;
CREATE INDEX documents_user_id ON documents (user_id) WHERE user_id IS NOT NULL;
