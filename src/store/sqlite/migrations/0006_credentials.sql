-- Since when tokens of a user count, where some were ended: those that were issued before do not.
CREATE TABLE validity (
  user_id INTEGER PRIMARY KEY,
  tokens_valid_from INTEGER NOT NULL
) STRICT;
