-- What became of requests with an idempotency key, for a day; `told` is the outcome.
-- The oldest have the lowest numbers, so that the expired ones are found without an index of times.
CREATE TABLE receipts (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  actor text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  hash text NOT NULL,
  at bigint NOT NULL,
  user_id bigint NOT NULL,
  told jsonb NOT NULL,
  CONSTRAINT receipts_actor_key_key UNIQUE (actor, key)
);
CREATE INDEX receipts_user_id ON receipts (user_id);

-- Numbers about a user that are no part of the record. A user without a row has zeros.
CREATE TABLE counters (
  user_id bigint CONSTRAINT counters_pkey PRIMARY KEY,
  followings_counter bigint NOT NULL,
  followers_counter bigint NOT NULL,
  posts_counter bigint NOT NULL,
  discussions_counter bigint NOT NULL,
  polls_counter bigint NOT NULL,
  statuses_counter bigint NOT NULL,
  categories_counter bigint NOT NULL,
  reputation bigint NOT NULL
) WITH (fillfactor = 80);

-- Argon2id hashes, in their own text form (PHC).
CREATE TABLE passwords (
  user_id bigint PRIMARY KEY,
  hash text NOT NULL
);

-- What is kept of a user beside the record. Each statement in it sees what has been committed until
-- then, which the parts of one statement would not: so nothing is left that was written while an
-- erasure waited for the lock on the user.
CREATE FUNCTION forget(erased bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  DELETE FROM receipts WHERE user_id = erased;
  DELETE FROM counters WHERE user_id = erased;
  DELETE FROM passwords WHERE user_id = erased;
$$;
