-- Settings of PostgreSQL. SQLite has none of this: it removes the entry of an index with the change of the row.
SELECT 1;
