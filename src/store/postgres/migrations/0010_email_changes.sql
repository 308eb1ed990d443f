-- Addresses that are to be replaced once somebody who reads the new mailbox has said so.
CREATE TABLE email_changes (
  id text PRIMARY KEY,
  user_id bigint NOT NULL,
  state text NOT NULL,
  old_email text,
  old_verified boolean NOT NULL,
  new_email text NOT NULL,
  by text NOT NULL,
  confirmed_by_new boolean NOT NULL,
  confirmed_by_old boolean NOT NULL,
  requested_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  ended_at bigint,
  undo_until bigint,
  new_token text,
  old_token text,
  undo_token text
);

CREATE INDEX email_changes_of ON email_changes (user_id, requested_at);
CREATE INDEX email_changes_due ON email_changes (expires_at) WHERE state = 'pending';

-- The one that is pending.
ALTER TABLE users ADD COLUMN email_change text;

-- Done once an erasure has the lock on the user, as `forget`.
CREATE FUNCTION forget_email_changes(erased bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  DELETE FROM email_changes WHERE user_id = erased;
$$;
