-- Times are milliseconds since 1970, UTC. A field without a value is NULL.

CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'blocked', 'deleted', 'erased')),
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  email TEXT,
  email_verified INTEGER,
  username TEXT,
  first_name TEXT,
  last_name TEXT,
  real_name TEXT,
  phone TEXT,
  interested_in TEXT,
  role TEXT,
  bio TEXT,
  location TEXT,
  location_lat_lng TEXT,
  position_lat_lng TEXT,
  date_of_birth TEXT,
  description TEXT,
  gender TEXT,
  website TEXT,
  avatar TEXT,
  cover TEXT,
  ext_id TEXT,
  tags TEXT,
  community_badge INTEGER,
  reg_approved INTEGER,
  company_name TEXT,
  company_role TEXT,
  -- The user's newest row of the change log.
  last_change INTEGER NOT NULL
) STRICT;

-- What only one user may hold, under the key that the directory computes.
CREATE TABLE claims (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  user_id INTEGER NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- One row per committed change; `fields` maps a field to its old and new value. A user's rows are
-- chained, newest first, from users.last_change through `previous`: an index would cost every
-- update a page of its own.
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY,
  previous INTEGER,
  change_id TEXT NOT NULL,
  user_id INTEGER NOT NULL,
  version INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor_kind TEXT NOT NULL,
  actor_id TEXT,
  contract TEXT NOT NULL,
  request_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  fields TEXT NOT NULL
) STRICT;

-- Where the search for the next free id starts.
CREATE TABLE allocator (next_id INTEGER NOT NULL) STRICT;
INSERT INTO allocator (next_id) VALUES (1);
