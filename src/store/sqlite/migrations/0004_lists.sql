-- What people filter and sort lists by and change seldom. Nobody else than who is to be seen is in
-- them, in the words of every list's WHERE. There is none on phone: an index costs each update of
-- its column two pages more (memory-index.ts).
CREATE INDEX users_email ON users (email) WHERE status IN ('active', 'blocked');
CREATE INDEX users_last_name ON users (last_name) WHERE status IN ('active', 'blocked');
CREATE INDEX users_first_name ON users (first_name) WHERE status IN ('active', 'blocked');
CREATE INDEX users_created_at ON users (created_at) WHERE status IN ('active', 'blocked');
CREATE INDEX users_interested_in ON users (interested_in) WHERE status IN ('active', 'blocked');

-- How many rows share a value, as in a directory of a million: so that the planner takes the same
-- way in every directory, and the one that leads to few (sqlite.org/fileformat.html#stat1tab).
ANALYZE allocator;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('users', 'users_email', '1000000 1'),
  ('users', 'users_last_name', '1000000 50'),
  ('users', 'users_first_name', '1000000 500'),
  ('users', 'users_created_at', '1000000 2'),
  ('users', 'users_interested_in', '1000000 330000');
