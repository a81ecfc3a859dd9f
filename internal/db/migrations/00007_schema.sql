-- One text for SQLite and PostgreSQL. Times are BIGINT microseconds since 1970 UTC, 0 for none. Where a machine's
-- clocks were read there are three columns: the time, which boot of the machine it was, and the microseconds since. A
-- BYTEA column holds NULL for no bytes: SQLite's driver cannot tell the two apart.

-- +goose Up

-- Facts about the deployment, such as its account id.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- What EC2 and the like have: instances and so on, each a document of its kind (package resource).
CREATE TABLE resource (
    id       TEXT   NOT NULL PRIMARY KEY,
    kind     TEXT   NOT NULL,
    region   TEXT   NOT NULL,
    version  BIGINT NOT NULL, -- 1, and one more with each change
    ended    BIGINT NOT NULL, -- when it ended, of what can still be seen for a while; 0 for what has not
    document TEXT   NOT NULL  -- JSON
);
CREATE INDEX resource_kind ON resource (kind, region, id);

CREATE TABLE tag (
    resource_id TEXT NOT NULL REFERENCES resource (id),
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (resource_id, key)
);

-- What only one resource can have at a time within a scope: a name, an address, an agent's key.
CREATE TABLE claim (
    scope       TEXT NOT NULL,
    value       TEXT NOT NULL,
    resource_id TEXT NOT NULL REFERENCES resource (id),
    PRIMARY KEY (scope, value)
);
CREATE INDEX claim_resource ON claim (resource_id);

-- Which resource uses which, and as what.
CREATE TABLE reference (
    source TEXT NOT NULL REFERENCES resource (id),
    role   TEXT NOT NULL,
    target TEXT NOT NULL REFERENCES resource (id),
    PRIMARY KEY (source, role, target)
);
CREATE INDEX reference_target ON reference (target);

CREATE TABLE host_token (
    id      TEXT   NOT NULL PRIMARY KEY,
    hash    BYTEA,
    region  TEXT   NOT NULL,
    zone    TEXT   NOT NULL,
    tags    TEXT   NOT NULL, -- JSON object
    created BIGINT NOT NULL,
    boot    TEXT   NOT NULL,
    uptime  BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    creator TEXT   NOT NULL
);
CREATE INDEX host_token_expires ON host_token (expires);

-- Users and groups. "folded" is a name in lower case: IAM's names differ in more than case.
CREATE TABLE iam_identity (
    id      TEXT   NOT NULL PRIMARY KEY,
    kind    TEXT   NOT NULL, -- user, group
    name    TEXT   NOT NULL,
    folded  TEXT   NOT NULL,
    path    TEXT   NOT NULL,
    arn     TEXT   NOT NULL,
    created BIGINT NOT NULL,
    tags    TEXT   NOT NULL, -- JSON object
    UNIQUE (kind, folded)
);

CREATE TABLE iam_member (
    user_id  TEXT NOT NULL REFERENCES iam_identity (id),
    group_id TEXT NOT NULL REFERENCES iam_identity (id),
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX iam_member_group ON iam_member (group_id);

CREATE TABLE iam_inline_policy (
    owner_id TEXT NOT NULL REFERENCES iam_identity (id),
    name     TEXT NOT NULL,
    folded   TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (owner_id, folded)
);

CREATE TABLE iam_policy (
    id              TEXT   NOT NULL PRIMARY KEY,
    name            TEXT   NOT NULL,
    folded          TEXT   NOT NULL UNIQUE,
    path            TEXT   NOT NULL,
    arn             TEXT   NOT NULL UNIQUE,
    description     TEXT   NOT NULL,
    default_version BIGINT NOT NULL,
    last_version    BIGINT NOT NULL, -- the highest number ever given
    created         BIGINT NOT NULL,
    updated         BIGINT NOT NULL,
    tags            TEXT   NOT NULL -- JSON object
);

CREATE TABLE iam_policy_version (
    policy_id TEXT   NOT NULL REFERENCES iam_policy (id),
    number    BIGINT NOT NULL,
    document  TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    PRIMARY KEY (policy_id, number)
);

-- policy_arn is no foreign key: AWS's own policies have no row.
CREATE TABLE iam_attachment (
    owner_id   TEXT NOT NULL REFERENCES iam_identity (id),
    policy_arn TEXT NOT NULL,
    PRIMARY KEY (owner_id, policy_arn)
);
CREATE INDEX iam_attachment_policy ON iam_attachment (policy_arn);

-- user_id is '' for the account's root user. A user_id that names nobody authenticates nobody.
CREATE TABLE iam_access_key (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL,
    secret       BYTEA,
    active       BOOLEAN NOT NULL,
    created      BIGINT  NOT NULL,
    used         BIGINT  NOT NULL,
    used_service TEXT    NOT NULL,
    used_region  TEXT    NOT NULL
);
CREATE INDEX iam_access_key_user ON iam_access_key (user_id);

CREATE TABLE iam_session (
    id      TEXT   NOT NULL PRIMARY KEY,
    user_id TEXT   NOT NULL,
    secret  BYTEA,
    token   BYTEA,
    created BIGINT NOT NULL,
    boot    TEXT   NOT NULL,
    uptime  BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX iam_session_expires ON iam_session (expires);
CREATE INDEX iam_session_user ON iam_session (user_id);

CREATE TABLE access_grant (
    request_id     TEXT    NOT NULL PRIMARY KEY,
    instance_id    TEXT    NOT NULL,
    os_user        TEXT    NOT NULL,
    public_key     TEXT    NOT NULL,
    caller         TEXT    NOT NULL, -- JSON of trail.Identity
    issued         BIGINT  NOT NULL,
    boot           TEXT    NOT NULL,
    uptime         BIGINT  NOT NULL,
    expires        BIGINT  NOT NULL,
    withdrawn      BOOLEAN NOT NULL,
    blob_text      TEXT    NOT NULL,
    blob_signature BYTEA,
    blob_signer    BYTEA
);
CREATE INDEX access_grant_instance ON access_grant (instance_id, expires);
CREATE INDEX access_grant_expires ON access_grant (expires);

-- Events, in the order of their exact time, and of their ids where two have the same. The columns beside record are
-- what LookupEvents searches by; record is the event as it was written.
CREATE TABLE trail (
    time          BIGINT  NOT NULL,
    id            TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    region        TEXT    NOT NULL,
    username      TEXT    NOT NULL,
    access_key_id TEXT    NOT NULL,
    read_only     BOOLEAN NOT NULL,
    error_code    TEXT    NOT NULL,
    record        TEXT    NOT NULL,
    PRIMARY KEY (time, id)
);
CREATE INDEX trail_name ON trail (name, time, id);
CREATE INDEX trail_source ON trail (source, time, id);
CREATE INDEX trail_username ON trail (username, time, id);
CREATE INDEX trail_access_key_id ON trail (access_key_id, time, id);
CREATE INDEX trail_read_only ON trail (read_only, time, id);

CREATE TABLE trail_resource (
    time BIGINT NOT NULL, -- with id: the event
    id   TEXT   NOT NULL,
    type TEXT   NOT NULL,
    name TEXT   NOT NULL,
    PRIMARY KEY (time, id, type, name)
);
CREATE INDEX trail_resource_type ON trail_resource (type, time, id);
CREATE INDEX trail_resource_name ON trail_resource (name, time, id);
