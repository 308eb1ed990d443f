-- Pictures whose files there may be. `unused_since` is null while nobody has to look at it: it is set
-- when one is stored and when the record or the list gives one up, and what is used after all is found
-- then. Given up for good, the reference is kept until nobody can be removing its files any more.
CREATE TABLE pictures (
  id text COLLATE "C" PRIMARY KEY,
  user_id bigint NOT NULL,
  unused_since bigint,
  given_up_at bigint,
  removed_at bigint
);
CREATE INDEX pictures_unused_since ON pictures (unused_since) WHERE unused_since IS NOT NULL;
CREATE INDEX pictures_given_up_at ON pictures (given_up_at) WHERE given_up_at IS NOT NULL;
CREATE INDEX pictures_user_id ON pictures (user_id);

-- What people can choose their avatar from: what they have added, and what the record has.
CREATE TABLE avatars (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id bigint NOT NULL,
  picture text COLLATE "C" NOT NULL,
  added int NOT NULL,
  uploaded_at bigint NOT NULL,
  UNIQUE (user_id, picture)
);
INSERT INTO avatars (user_id, picture, added, uploaded_at)
  SELECT id, avatar, 0, updated_at FROM users WHERE avatar IS NOT NULL ORDER BY id;

-- Statements name only the columns that change, so these cost other updates nothing. An erasure
-- removes all of it itself.
CREATE FUNCTION avatar_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    DELETE FROM avatars WHERE user_id = NEW.id AND picture = OLD.avatar AND added = 0;
    UPDATE pictures SET unused_since = NEW.updated_at WHERE id = OLD.avatar AND given_up_at IS NULL;
  END IF;
  IF NEW.avatar IS NOT NULL THEN
    INSERT INTO avatars (user_id, picture, added, uploaded_at)
      VALUES (NEW.id, NEW.avatar, 0, NEW.updated_at) ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END
$$;
CREATE FUNCTION cover_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE pictures SET unused_since = NEW.updated_at WHERE id = OLD.cover AND given_up_at IS NULL;
  RETURN NULL;
END
$$;
CREATE TRIGGER avatar_changed AFTER UPDATE OF avatar ON users FOR EACH ROW
  WHEN (NEW.avatar IS DISTINCT FROM OLD.avatar AND NEW.status <> 'erased') EXECUTE FUNCTION avatar_changed();
CREATE TRIGGER avatar_given AFTER INSERT ON users FOR EACH ROW
  WHEN (NEW.avatar IS NOT NULL) EXECUTE FUNCTION avatar_changed();
CREATE TRIGGER cover_changed AFTER UPDATE OF cover ON users FOR EACH ROW
  WHEN (NEW.cover IS DISTINCT FROM OLD.cover AND NEW.status <> 'erased') EXECUTE FUNCTION cover_changed();

-- Done once an erasure has the lock on the user, as `forget`. Time 0 has their files removed next.
CREATE FUNCTION forget_pictures(erased bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
  DELETE FROM avatars WHERE user_id = erased;
  UPDATE pictures SET unused_since = 0 WHERE user_id = erased AND given_up_at IS NULL;
$$;
