-- +goose Up

CREATE TABLE host_token (
    id      TEXT   NOT NULL PRIMARY KEY,
    hash    BYTEA,
    region  TEXT   NOT NULL,
    zone    TEXT   NOT NULL,
    tags    TEXT   NOT NULL, -- JSON object
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    creator TEXT   NOT NULL
);

CREATE TABLE instance (
    id          TEXT   NOT NULL PRIMARY KEY,
    reservation TEXT   NOT NULL,
    region      TEXT   NOT NULL,
    zone        TEXT   NOT NULL,
    public_key  BYTEA,
    report      TEXT   NOT NULL, -- JSON of compute.Report
    enrolled    BIGINT NOT NULL,
    last_seen   BIGINT NOT NULL,
    terminated  BIGINT NOT NULL -- 0 while it is enrolled
);
CREATE INDEX instance_region ON instance (region);
-- A key identifies one machine as long as it is enrolled.
CREATE UNIQUE INDEX instance_public_key ON instance (public_key) WHERE terminated = 0;

CREATE TABLE tag (
    resource_id   TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    key           TEXT NOT NULL,
    value         TEXT NOT NULL,
    PRIMARY KEY (resource_id, key)
);
