-- +goose Up

-- "folded" is a name in lower case: IAM's names differ in more than case.
CREATE TABLE iam_user (
    id      TEXT   NOT NULL PRIMARY KEY,
    name    TEXT   NOT NULL,
    folded  TEXT   NOT NULL UNIQUE,
    path    TEXT   NOT NULL,
    arn     TEXT   NOT NULL,
    created BIGINT NOT NULL,
    tags    TEXT   NOT NULL -- JSON object
);

CREATE TABLE iam_group (
    id      TEXT   NOT NULL PRIMARY KEY,
    name    TEXT   NOT NULL,
    folded  TEXT   NOT NULL UNIQUE,
    path    TEXT   NOT NULL,
    arn     TEXT   NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE iam_member (
    user_id  TEXT NOT NULL REFERENCES iam_user (id),
    group_id TEXT NOT NULL REFERENCES iam_group (id),
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX iam_member_group ON iam_member (group_id);

-- An owner_id is the id of a user or of a group; ids never clash, their prefixes differ.
CREATE TABLE iam_inline_policy (
    owner_id TEXT NOT NULL,
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
    owner_id   TEXT NOT NULL,
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
    expires BIGINT NOT NULL
);
CREATE INDEX iam_session_user ON iam_session (user_id);
