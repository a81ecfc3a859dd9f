package iam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestCallerIdentityNeedsNoPermission(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob", "/x/", `{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}`)
		for name, want := range map[string]string{
			"root": "arn:aws:iam::111122223333:root", "bob": "arn:aws:iam::111122223333:user/x/bob",
		} {
			out, err := w.sts(w.keys[name][0], w.keys[name][1], "").GetCallerIdentity(w.ctx, nil)
			w.ok(err)
			if *out.Arn != want || *out.Account != account || *out.UserId == "" {
				t.Errorf("%s %s %s", *out.Arn, *out.Account, *out.UserId)
			}
		}
		_, err := w.sts(w.keys["bob"][0], "wrong", "").GetCallerIdentity(w.ctx, nil)
		w.refused(err, "SignatureDoesNotMatch", "")
	})
}

func TestSessionCredentialsServe(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob", "", allowIAM)
		long := w.sts(w.keys["bob"][0], w.keys["bob"][1], "")
		out, err := long.GetSessionToken(w.ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)})
		w.ok(err)
		c := out.Credentials
		left := time.Until(*c.Expiration)
		if left <= 0 || left > 15*time.Minute || !strings.HasPrefix(*c.AccessKeyId, "ASIA") {
			t.Errorf("%s for %s", *c.AccessKeyId, left)
		}
		self, err := w.iam(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken).GetUser(w.ctx, nil)
		w.ok(err)
		if *self.User.UserName != "bob" {
			t.Errorf("%+v", self.User)
		}
		_, err = w.iam(*c.AccessKeyId, *c.SecretAccessKey, "").GetUser(w.ctx, nil)
		w.refused(err, "InvalidClientTokenId", "session token")
		_, err = w.sts(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken).GetSessionToken(w.ctx, nil)
		w.refused(err, "AccessDenied", "session credentials")
		_, err = long.GetSessionToken(w.ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(899)})
		w.refused(err, "ValidationError", "between 900 and 129600")
		_, err = long.GetSessionToken(w.ctx, &sts.GetSessionTokenInput{
			SerialNumber: aws.String("arn:aws:iam::111122223333:mfa/bob"),
		})
		w.refused(err, "ValidationError", "SerialNumber")
		for _, entry := range w.trail() {
			if strings.Contains(entry.Record, *c.SecretAccessKey) || strings.Contains(entry.Record, *c.SessionToken) {
				t.Errorf("a secret stands in %s", entry.Record)
			}
		}
	})
}
