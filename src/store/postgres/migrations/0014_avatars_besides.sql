-- Counted once their owner is locked: the parts of a statement see a list as it was when the statement began, without
-- what others added to it while it waited; the statement in a function sees what is there by then.
CREATE FUNCTION avatars_besides(owner bigint, one text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT count(*) FROM avatars WHERE user_id = owner AND added = 1 AND picture <> one;
$$;
