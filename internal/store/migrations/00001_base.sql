-- One text for SQLite and PostgreSQL. Times are BIGINT microseconds since 1970 UTC, 0 for none. A BYTEA column
-- holds NULL for no bytes: SQLite's driver cannot tell the two apart.

-- +goose Up

-- Facts about the deployment, such as its account id.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Numbers handed out in blocks. See sequence.go.
CREATE TABLE counter (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('trail', 0);
