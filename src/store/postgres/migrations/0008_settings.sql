-- What somebody wants to be told of, as far as they have said; no part of the record.
CREATE TABLE settings (
  user_id bigint PRIMARY KEY,
  qa_frequency int,
  email_notification_not_qa int,
  mobile_notifications_scmty int,
  toast_notifications_emit_sound int,
  show_toast_notifications int
);

-- Done once an erasure has the lock on the user, as `forget`.
CREATE FUNCTION forget_settings(erased bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  DELETE FROM settings WHERE user_id = erased;
$$;
