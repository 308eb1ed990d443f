-- Pictures whose files there may be. `unused_since` is null while nobody has to look at it: it is set
-- when one is stored and when the record or the list gives one up, and what is used after all is found
-- then. Given up for good, the reference is kept until nobody can be removing its files any more.
CREATE TABLE pictures (
  id TEXT PRIMARY KEY,
  user_id INTEGER NOT NULL,
  unused_since INTEGER,
  given_up_at INTEGER,
  removed_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX pictures_unused_since ON pictures (unused_since) WHERE unused_since IS NOT NULL;
CREATE INDEX pictures_given_up_at ON pictures (given_up_at) WHERE given_up_at IS NOT NULL;
CREATE INDEX pictures_user_id ON pictures (user_id);

-- What people can choose their avatar from: what they have added, and what the record has.
CREATE TABLE avatars (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  picture TEXT NOT NULL,
  added INTEGER NOT NULL,
  uploaded_at INTEGER NOT NULL,
  UNIQUE (user_id, picture)
) STRICT;
INSERT INTO avatars (user_id, picture, added, uploaded_at)
  SELECT id, avatar, 0, updated_at FROM users WHERE avatar IS NOT NULL;

-- Statements name only the columns that change, so these cost other updates nothing. An erasure
-- removes all of it itself.
CREATE TRIGGER avatar_changed AFTER UPDATE OF avatar ON users
  WHEN NEW.avatar IS NOT OLD.avatar AND NEW.status <> 'erased'
BEGIN
  DELETE FROM avatars WHERE user_id = NEW.id AND picture = OLD.avatar AND added = 0;
  UPDATE pictures SET unused_since = NEW.updated_at WHERE id = OLD.avatar AND given_up_at IS NULL;
  INSERT OR IGNORE INTO avatars (user_id, picture, added, uploaded_at)
    SELECT NEW.id, NEW.avatar, 0, NEW.updated_at WHERE NEW.avatar IS NOT NULL;
END;
CREATE TRIGGER avatar_given AFTER INSERT ON users WHEN NEW.avatar IS NOT NULL
BEGIN
  INSERT INTO avatars (user_id, picture, added, uploaded_at) VALUES (NEW.id, NEW.avatar, 0, NEW.updated_at);
END;
CREATE TRIGGER cover_changed AFTER UPDATE OF cover ON users
  WHEN NEW.cover IS NOT OLD.cover AND NEW.status <> 'erased'
BEGIN
  UPDATE pictures SET unused_since = NEW.updated_at WHERE id = OLD.cover AND given_up_at IS NULL;
END;
