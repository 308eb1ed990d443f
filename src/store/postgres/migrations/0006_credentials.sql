-- Since when tokens of a user count, where some were ended: those that were issued before do not.
CREATE TABLE validity (
  user_id bigint PRIMARY KEY,
  tokens_valid_from bigint NOT NULL
);

CREATE OR REPLACE FUNCTION forget(erased bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  DELETE FROM receipts WHERE user_id = erased;
  DELETE FROM counters WHERE user_id = erased;
  DELETE FROM passwords WHERE user_id = erased;
  DELETE FROM validity WHERE user_id = erased;
$$;
