-- What people filter and sort lists by. Nobody else than who is to be seen is in them, in the words of
-- every list's WHERE. One on phone keeps an update of it from being a heap-only one; none would have a
-- filter by it read the whole table.
CREATE INDEX users_email ON users (email COLLATE "C") WHERE status IN ('active', 'blocked');
CREATE INDEX users_last_name ON users (last_name COLLATE "C") WHERE status IN ('active', 'blocked');
CREATE INDEX users_first_name ON users (first_name COLLATE "C") WHERE status IN ('active', 'blocked');
CREATE INDEX users_phone ON users (phone COLLATE "C") WHERE status IN ('active', 'blocked');
CREATE INDEX users_created_at ON users (created_at) WHERE status IN ('active', 'blocked');
CREATE INDEX users_interested_in ON users (interested_in COLLATE "C", id) WHERE status IN ('active', 'blocked');
