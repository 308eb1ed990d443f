-- API keys; `hash` is the SHA-256 of the secret, in hexadecimal, and `scopes` a list separated by spaces.
CREATE TABLE keys (
  id text COLLATE "C" PRIMARY KEY,
  hash text COLLATE "C" NOT NULL UNIQUE,
  name text NOT NULL,
  scopes text NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  revoked_at bigint,
  last_used_at bigint
);
