-- +goose Up

CREATE TABLE access_grant (
    request_id     TEXT    NOT NULL PRIMARY KEY,
    instance_id    TEXT    NOT NULL,
    os_user        TEXT    NOT NULL,
    public_key     TEXT    NOT NULL,
    caller         TEXT    NOT NULL, -- JSON of trail.Identity
    issued         BIGINT  NOT NULL,
    expires        BIGINT  NOT NULL,
    withdrawn      BOOLEAN NOT NULL,
    blob_text      TEXT    NOT NULL,
    blob_signature BYTEA,
    blob_signer    BYTEA
);
CREATE INDEX access_grant_instance ON access_grant (instance_id, expires);
CREATE INDEX access_grant_expires ON access_grant (expires);
