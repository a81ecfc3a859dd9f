-- +goose Up

-- The columns beside record are what LookupEvents searches by; record is the event as it was written.
CREATE TABLE trail (
    time          BIGINT  NOT NULL,
    sequence      BIGINT  NOT NULL,
    id            TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    region        TEXT    NOT NULL,
    username      TEXT    NOT NULL,
    access_key_id TEXT    NOT NULL,
    read_only     BOOLEAN NOT NULL,
    error_code    TEXT    NOT NULL,
    record        TEXT    NOT NULL,
    PRIMARY KEY (time, sequence)
);
CREATE INDEX trail_name ON trail (name, time, sequence);
CREATE INDEX trail_source ON trail (source, time, sequence);
CREATE INDEX trail_username ON trail (username, time, sequence);
CREATE INDEX trail_access_key_id ON trail (access_key_id, time, sequence);
CREATE INDEX trail_read_only ON trail (read_only, time, sequence);

CREATE TABLE trail_resource (
    time     BIGINT NOT NULL, -- with sequence: the event
    sequence BIGINT NOT NULL,
    type     TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    PRIMARY KEY (time, sequence, type, name)
);
CREATE INDEX trail_resource_type ON trail_resource (type, time, sequence);
CREATE INDEX trail_resource_name ON trail_resource (name, time, sequence);
