-- +goose Up

-- Where a machine's clocks were read: which boot of it that was, and the microseconds since. A row from before has
-- neither, and no boot is ''.
ALTER TABLE access_grant ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE access_grant ADD COLUMN uptime BIGINT NOT NULL DEFAULT 0;
ALTER TABLE iam_session ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE iam_session ADD COLUMN uptime BIGINT NOT NULL DEFAULT 0;
ALTER TABLE host_token ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE host_token ADD COLUMN uptime BIGINT NOT NULL DEFAULT 0;
