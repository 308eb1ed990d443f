-- What became of requests with an idempotency key, for a day; `told` is the outcome as JSON.
-- The oldest have the lowest numbers, so that the expired ones are found without an index of times.
CREATE TABLE receipts (
  seq INTEGER PRIMARY KEY,
  actor TEXT NOT NULL,
  key TEXT NOT NULL,
  hash TEXT NOT NULL,
  at INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  told TEXT NOT NULL,
  UNIQUE (actor, key)
) STRICT;
CREATE INDEX receipts_user_id ON receipts (user_id);

-- Numbers about a user that are no part of the record. A user without a row has zeros.
CREATE TABLE counters (
  user_id INTEGER PRIMARY KEY,
  followings_counter INTEGER NOT NULL,
  followers_counter INTEGER NOT NULL,
  posts_counter INTEGER NOT NULL,
  discussions_counter INTEGER NOT NULL,
  polls_counter INTEGER NOT NULL,
  statuses_counter INTEGER NOT NULL,
  categories_counter INTEGER NOT NULL,
  reputation INTEGER NOT NULL
) STRICT;

-- Argon2id hashes, in their own text form (PHC).
CREATE TABLE passwords (
  user_id INTEGER PRIMARY KEY,
  hash TEXT NOT NULL
) STRICT;
