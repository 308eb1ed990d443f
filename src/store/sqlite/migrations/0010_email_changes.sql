-- Addresses that are to be replaced once somebody who reads the new mailbox has said so.
CREATE TABLE email_changes (
  id TEXT PRIMARY KEY,
  user_id INTEGER NOT NULL,
  state TEXT NOT NULL,
  old_email TEXT,
  old_verified INTEGER NOT NULL,
  new_email TEXT NOT NULL,
  by TEXT NOT NULL,
  confirmed_by_new INTEGER NOT NULL,
  confirmed_by_old INTEGER NOT NULL,
  requested_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at INTEGER,
  undo_until INTEGER,
  new_token TEXT,
  old_token TEXT,
  undo_token TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX email_changes_of ON email_changes (user_id, requested_at);
CREATE INDEX email_changes_due ON email_changes (expires_at) WHERE state = 'pending';

-- The one that is pending.
ALTER TABLE users ADD COLUMN email_change TEXT;
