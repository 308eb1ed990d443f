-- Times are milliseconds since 1970, UTC. A field without a value is NULL.

CREATE TABLE users (
  id bigint PRIMARY KEY,
  uid text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'blocked', 'deleted', 'erased')),
  version bigint NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  email text,
  email_verified boolean,
  username text,
  first_name text,
  last_name text,
  real_name text,
  phone text,
  interested_in text,
  role text,
  bio text,
  location text,
  location_lat_lng text,
  position_lat_lng text,
  date_of_birth text,
  description text,
  gender text,
  website text,
  avatar text,
  cover text,
  ext_id text,
  tags jsonb,
  community_badge boolean,
  reg_approved boolean,
  company_name text,
  company_role text
) WITH (fillfactor = 80);

-- What only one user may hold, under the key that the directory computes.
CREATE TABLE claims (
  kind text NOT NULL,
  key text COLLATE "C" NOT NULL,
  user_id bigint NOT NULL,
  CONSTRAINT claims_pkey PRIMARY KEY (kind, key)
);

-- One row per committed change; `fields` maps a field to its old and new value. `tx` tells a reader
-- that follows the log which rows can still be preceded by one that commits later.
CREATE TABLE changes (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  change_id uuid NOT NULL,
  user_id bigint NOT NULL,
  version bigint NOT NULL,
  at bigint NOT NULL,
  actor_kind text NOT NULL,
  actor_id text,
  contract text NOT NULL,
  request_id text NOT NULL,
  kind text NOT NULL,
  fields jsonb NOT NULL,
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CONSTRAINT changes_change_id_key UNIQUE (change_id),
  CONSTRAINT changes_user_id_version_key UNIQUE (user_id, version)
);

-- Where the search for the next free id starts.
CREATE SEQUENCE user_ids AS bigint MINVALUE 1 MAXVALUE 9007199254740991;
