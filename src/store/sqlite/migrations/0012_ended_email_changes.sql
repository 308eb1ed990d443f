-- Those that are over are removed after some time.
CREATE INDEX email_changes_over ON email_changes (coalesce(undo_until, ended_at)) WHERE ended_at IS NOT NULL;
