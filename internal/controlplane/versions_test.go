package controlplane_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/pressly/goose/v3"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
)

// The data directory of a deployment as version 7 of the schema left it: its keys, and its database as SQL. It is never
// made again once version 7 is released, because every later version must still read it.
const version7 = "testdata/version7"

var makeVersion7 = flag.Bool("make-version7", false, "make "+version7+" anew, with the schema and the code of today")

// keptFiles are the files of a data directory besides its database.
var keptFiles = []string{
	controlplane.AuthorityFile, controlplane.AuthorityKey, controlplane.SealFile, controlplane.CredentialsFile,
}

// sessionFile has the credentials of version 7's session.
const sessionFile = "session"

// After an upgrade the new version reads whatever the old one wrote, on either database.
func TestDatabaseOfVersion7(t *testing.T) {
	if *makeVersion7 {
		writeVersion7(t)
	}
	script, err := os.ReadFile(filepath.Join(version7, "database.sql"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("SQLite", func(t *testing.T) {
		s := testkit.Start(t, func(c *controlplane.Config) {
			layOut(t, c.Data)
			load(t, goose.DialectSQLite3, "sqlite", filepath.Join(c.Data, controlplane.DatabaseFile), string(script))
		})
		readVersion7(t, s, "sqlite:"+filepath.Join(s.Data, controlplane.DatabaseFile))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := dbtest.PostgreSQLURL(t)
		load(t, goose.DialectPostgres, "pgx", url, strings.ReplaceAll(string(script), " X'", ` '\x`))
		s := testkit.Start(t, func(c *controlplane.Config) {
			layOut(t, c.Data)
			c.Database = url
		})
		readVersion7(t, s, url)
	})
}

// layOut creates the data directory, without its database.
func layOut(t *testing.T, data string) {
	t.Helper()
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range keptFiles {
		content, err := os.ReadFile(filepath.Join(version7, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// load creates a database of version 7.
func load(t *testing.T, dialect goose.Dialect, driver, source, script string) {
	t.Helper()
	conn, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	provider, err := goose.NewProvider(dialect, conn, os.DirFS("../db/migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	_, err = provider.UpTo(t.Context(), 7)
	if _, loading := conn.ExecContext(t.Context(), script); errors.Join(err, loading) != nil {
		t.Fatal(errors.Join(err, loading))
	}
}

// readVersion7 reads everything through today's rooms.
func readVersion7(t *testing.T, s *testkit.System, url string) {
	ctx := t.Context()
	root := s.Clients(s.Root)
	user, err := root.IAM.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("MINA")})
	check(t, err)
	if *user.User.Path != "/team/" || len(user.User.Tags) != 1 || *user.User.Tags[0].Value != "core" {
		t.Errorf("the user is %+v", user.User)
	}
	eng := &iam.ListAttachedGroupPoliciesInput{GroupName: aws.String("eng")}
	attached, err := root.IAM.ListAttachedGroupPolicies(ctx, eng)
	check(t, err)
	policy, err := root.IAM.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: attached.AttachedPolicies[0].PolicyArn})
	check(t, err)
	if *policy.Policy.DefaultVersionId != "v2" || *policy.Policy.Description != "to look" || len(policy.Policy.Tags) != 1 {
		t.Errorf("the policy is %+v", policy.Policy)
	}
	for name, want := range map[string]int{"mina": 1, "eng": 1} {
		got, err := inlinePolicies(ctx, root.IAM, name)
		if check(t, err); got != want {
			t.Errorf("%s has %d inline policies", name, got)
		}
	}
	keys, err := root.IAM.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: aws.String("mina")})
	if check(t, err); len(keys.AccessKeyMetadata) != 1 || keys.AccessKeyMetadata[0].Status != iamtypes.StatusTypeInactive {
		t.Errorf("mina's keys are %+v", keys.AccessKeyMetadata)
	}

	// The session has expired, and is still known.
	session, err := credentialsIn(ctx, sessionFile)
	check(t, err)
	_, err = s.Clients(session).STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	var failure smithy.APIError
	if err != nil && (!errors.As(err, &failure) || failure.ErrorCode() != "ExpiredToken") {
		t.Errorf("the session: %v", err)
	}

	found, err := root.EC2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{
		Filters: []ec2types.Filter{{Name: aws.String("tag:Name"), Values: []string{"web"}}},
	})
	if check(t, err); len(found.Reservations) != 1 || len(found.Reservations[0].Instances[0].Tags) != 2 {
		t.Fatalf("the host is %+v", found.Reservations)
	}
	web := *found.Reservations[0].Instances[0].InstanceId
	described, err := sallyport.NewFromConfig(root.Config).DescribeHosts(ctx, &sallyport.DescribeHostsInput{})
	check(t, err)
	if !slices.ContainsFunc(described.Hosts, func(h sallyport.Host) bool {
		return h.InstanceId == web && h.Hostname == "web" && len(h.HostKeys) == 1
	}) {
		t.Errorf("the hosts are %+v", described.Hosts)
	}

	s.Stop(t)
	w := dbtest.Open(t, url)
	pushes, err := trail.NewLog(w.DB).Events(ctx, trail.Query{Attribute: "ResourceName", Value: web})
	check(t, err)
	pushes = slices.DeleteFunc(pushes, func(e trail.Entry) bool { return e.Event.Name != "SendSSHPublicKey" })
	if len(pushes) != 1 || pushes[0].Event.ErrorCode != "" {
		t.Fatalf("the pushes to it are %+v", pushes)
	}
	live, err := grantsAt(ctx, t, w, web, pushes[0].Event.Time.Add(2*time.Second))
	check(t, err)
	if len(live) != 1 || live[0].RequestID != pushes[0].Event.RequestID || live[0].Caller.Type != trail.Root {
		t.Errorf("its grants were %+v", live)
	}
	uses, err := db.Get(ctx, w.DB, func(tx *db.Tx) ([]resource.Reference, error) { return resource.Uses(tx, web) })
	if check(t, err); len(uses) != 1 || uses[0].Role != "example" {
		t.Errorf("it uses %+v", uses)
	}
}

func inlinePolicies(ctx context.Context, client *iam.Client, of string) (int, error) {
	if of == "eng" {
		out, err := client.ListGroupPolicies(ctx, &iam.ListGroupPoliciesInput{GroupName: &of})
		return len(out.PolicyNames), err
	}
	out, err := client.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: &of})
	return len(out.PolicyNames), err
}

// grantsAt returns the grants that were live at the time, in the boot in which they were issued.
func grantsAt(ctx context.Context, t *testing.T, w *db.Writer, id string, at time.Time) ([]access.Grant, error) {
	t.Helper()
	now := clock.Reading{Time: at}
	var uptime int64
	err := w.View(ctx, func(tx *db.Tx) error {
		return tx.Row(`SELECT boot, uptime FROM access_grant WHERE instance_id = $1`, id).Scan(&now.Boot, &uptime)
	})
	check(t, err)
	now.Uptime = time.Duration(uptime) * time.Microsecond
	m := newMoments(openPlane(t))
	m.target.ID = id
	signers := m.authority.Signers("sallyport", time.Now)
	return access.New(w.DB, m, m, signers, func() clock.Reading { return now }).LiveGrants(ctx, testkit.Region, id)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// credentialsIn reads a file of version7 as the SDK does.
func credentialsIn(ctx context.Context, name string) (aws.CredentialsProvider, error) {
	return testkit.CredentialsFile(ctx, filepath.Join(version7, name))
}

// writeVersion7 makes a deployment with at least one row in every table, and writes it to version7.
func writeVersion7(t *testing.T) {
	s := testkit.Start(t)
	root := s.Clients(s.Root)
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return makeIdentities(ctx, root.IAM) },
		func(ctx context.Context) error { return makeHosts(ctx, t, s) },
		func(ctx context.Context) error { return makeSession(ctx, s) },
	} {
		check(t, step(t.Context()))
	}
	s.Stop(t)
	path := filepath.Join(s.Data, controlplane.DatabaseFile)
	w := dbtest.Open(t, path)
	check(t, w.Update(t.Context(), func(tx *db.Tx) error { // which no kind of resource does yet
		ids, err := db.Collect(tx, func(row db.Scanner) (id string, err error) { return id, row.Scan(&id) },
			`SELECT id FROM resource ORDER BY ended`)
		return errors.Join(err, resource.Refer(tx, resource.Reference{Source: ids[0], Role: "example", Target: ids[1]}))
	}))
	check(t, w.Close())
	for _, name := range keptFiles {
		content, err := os.ReadFile(filepath.Join(s.Data, name))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(version7, name), content, 0o644))
	}
	script, err := dump(t.Context(), path)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(version7, "database.sql"), []byte(script), 0o644))
}

func makeIdentities(ctx context.Context, client *iam.Client) error {
	const document = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}}`
	mina, eng, one := aws.String("mina"), aws.String("eng"), aws.String("one")
	tags := []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("core")}}
	_, user := client.CreateUser(ctx, &iam.CreateUserInput{UserName: mina, Path: aws.String("/team/"), Tags: tags})
	_, group := client.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: eng})
	_, member := client.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: eng, UserName: mina})
	_, ofUser := client.PutUserPolicy(ctx, &iam.PutUserPolicyInput{
		UserName: mina, PolicyName: one, PolicyDocument: aws.String(document),
	})
	_, ofGroup := client.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{
		GroupName: eng, PolicyName: one, PolicyDocument: aws.String(document),
	})
	policy, managed := client.CreatePolicy(ctx, &iam.CreatePolicyInput{
		PolicyName: aws.String("look"), Description: aws.String("to look"), PolicyDocument: aws.String(document), Tags: tags,
	})
	if err := errors.Join(user, group, member, ofUser, ofGroup, managed); err != nil {
		return err
	}
	_, version := client.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{
		PolicyArn: policy.Policy.Arn, PolicyDocument: aws.String(document), SetAsDefault: true,
	})
	_, attach := client.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: eng, PolicyArn: policy.Policy.Arn})
	key, create := client.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: mina})
	if err := errors.Join(version, attach, create); err != nil {
		return err
	}
	_, err := client.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{
		UserName: mina, AccessKeyId: key.AccessKey.AccessKeyId, Status: iamtypes.StatusTypeInactive,
	})
	return err
}

// makeHosts makes a host with a pushed key that is used, a terminated host, and a token for another host.
func makeHosts(ctx context.Context, t *testing.T, s *testkit.System) error {
	root := s.Clients(s.Root)
	web, old := s.Host(t, "web", "debian"), s.Host(t, "old", "debian")
	_, tag := root.EC2.CreateTags(ctx, &ec2.CreateTagsInput{
		Resources: []string{web.InstanceID}, Tags: []ec2types.Tag{{Key: aws.String("team"), Value: aws.String("core")}},
	})
	pushed, push := root.EIC.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{
		InstanceId: &web.InstanceID, InstanceOSUser: aws.String("debian"), SSHPublicKey: aws.String(publicKey),
	})
	_, terminate := root.EC2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{old.InstanceID}})
	_, token := sallyport.NewFromConfig(root.Config).CreateHostToken(ctx, &sallyport.CreateHostTokenInput{Name: "next"})
	if err := errors.Join(tag, push, terminate, token); err != nil {
		return err
	}
	web.Release(*pushed.RequestId, "debian")
	wait.For(t, "the use of the key", func() bool {
		return slices.ContainsFunc(s.Events(t), func(e trail.Event) bool { return e.Name == "ReleaseSSHPublicKey" })
	})
	return nil
}

func makeSession(ctx context.Context, s *testkit.System) error {
	out, err := s.Clients(s.Root).STS.GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)})
	if err != nil {
		return err
	}
	c := out.Credentials
	text := fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n",
		controlplane.ProfileName, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	return os.WriteFile(filepath.Join(version7, sessionFile), []byte(text), 0o644)
}

// dump returns a SQLite database as SQL that inserts its rows, table by table, so that a row comes after those that it
// refers to. PostgreSQL reads it once X'00' has been replaced by '\x00'.
func dump(ctx context.Context, path string) (string, error) {
	conn, err := sql.Open("sqlite", path)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	schema, err := os.ReadFile("../db/migrations/00007_schema.sql")
	if err != nil {
		return "", err
	}
	var script strings.Builder
	for _, match := range regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`).FindAllStringSubmatch(string(schema), -1) {
		before := script.Len()
		if err := dumpTable(ctx, &script, conn, match[1]); err != nil {
			return "", err
		}
		if script.Len() == before {
			return "", fmt.Errorf("the table %s is empty", match[1])
		}
	}
	return script.String(), nil
}

func dumpTable(ctx context.Context, script *strings.Builder, conn *sql.DB, table string) error {
	rows, err := conn.QueryContext(ctx, "SELECT * FROM "+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		var names, literals []string
		for i, column := range columns {
			names = append(names, column.Name())
			literals = append(literals, literal(values[i], column.DatabaseTypeName()))
		}
		fmt.Fprintf(script, "INSERT INTO %s (%s)\nVALUES (%s);\n",
			table, strings.Join(names, ", "), strings.Join(literals, ", "))
	}
	return rows.Err()
}

func literal(value any, kind string) string {
	switch value := value.(type) {
	case nil:
		return "NULL"
	case []byte:
		return fmt.Sprintf("X'%x'", value)
	case string:
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	case int64:
		if kind == "BOOLEAN" {
			return fmt.Sprint(value != 0)
		}
	}
	return fmt.Sprint(value)
}
