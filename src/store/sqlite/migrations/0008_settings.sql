-- What somebody wants to be told of, as far as they have said; no part of the record.
CREATE TABLE settings (
  user_id INTEGER PRIMARY KEY,
  qa_frequency INTEGER,
  email_notification_not_qa INTEGER,
  mobile_notifications_scmty INTEGER,
  toast_notifications_emit_sound INTEGER,
  show_toast_notifications INTEGER
) STRICT;
