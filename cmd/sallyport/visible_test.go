package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
)

// hostile clears the screen, sets the terminal's title, also by the one-byte CSI, reverses the direction of writing,
// and begins a row of its own.
const hostile = "x\x1b[2J\u009b2J\x1b]0;owned\x07\u202e\t\r\n2026-11-22 08:00:00  root  SendSSHPublicKey  ok\x7f\xff"

func checkTerminal(t *testing.T, text string, lines int) {
	t.Helper()
	if strings.ContainsAny(text, "\x1b\u009b\x07\u202e\x7f\r") {
		t.Errorf("a terminal would obey %q", text)
	}
	if n := strings.Count(text, "\n"); n != lines {
		t.Errorf("%d lines instead of %d: %q", n, lines, text)
	}
}

// A user without any permission pushes a key for an OS user of that name. The call is refused, and an administrator
// looks at the event.
func TestTrailOfAHostileCall(t *testing.T) {
	record, err := json.Marshal(map[string]any{
		"eventName": "SendSSHPublicKey" + hostile, "errorCode": "AuthException" + hostile, "errorMessage": hostile,
		"sourceIPAddress":   hostile,
		"requestParameters": map[string]any{"osUser": hostile},
		"userIdentity":      map[string]any{"userName": hostile},
		"resources":         []any{map[string]any{"ARN": "arn:aws:iam::1:user/" + hostile}},
	})
	if err != nil {
		t.Fatal(err)
	}
	event := trailEvent{raw: string(record)}
	if err := json.Unmarshal(record, &event.trailRecord); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (trailCommand{Denied: true}).print(&out, []trailEvent{event}); err != nil {
		t.Fatal(err)
	}
	checkTerminal(t, out.String(), 2)
}

// As JSON the record keeps its values.
func TestJSONOfAHostileCall(t *testing.T) {
	record, err := json.Marshal(map[string]string{"userName": hostile + "\U000e0041 é 한글"})
	if err != nil {
		t.Fatal(err)
	}
	safe := visibleJSON(string(record))
	checkTerminal(t, safe, 0)
	var before, after map[string]string
	err = errors.Join(json.Unmarshal(record, &before), json.Unmarshal([]byte(safe), &after))
	if err != nil || before["userName"] != after["userName"] {
		t.Errorf("%q became %q, %v", before, after, err)
	}
}

// A user who may rename themselves takes the name root: the trail must not show them as the root user.
func TestUserCalledRoot(t *testing.T) {
	var user, root trailRecord
	user.Identity.Type, user.Identity.UserName = "IAMUser", "root"
	root.Identity.Type = "Root"
	if user.who() == root.who() {
		t.Errorf("both are %q", root.who())
	}
}

// A user who may tag an instance gives it this name; another user lists the hosts, or mistypes a name.
func TestHostileNames(t *testing.T) {
	var out bytes.Buffer
	host := sallyport.Host{
		InstanceId: "i-0aaa1111111111111", OperatingSystem: hostile, Users: []string{hostile}, State: hostile,
		Addresses: []string{hostile},
	}
	if err := printHosts(&out, []hostRow{{Name: hostile, Host: host}}); err != nil {
		t.Fatal(err)
	}
	checkTerminal(t, out.String(), 2)
	_, err := resolve([]types.Instance{machine("i-0aaa1111111111111", hostile, types.InstanceStateNameRunning)}, "web")
	checkTerminal(t, err.Error(), 0)
}

// Errors are printed with their line breaks, but without other characters that do not print.
func TestHostileError(t *testing.T) {
	checkTerminal(t, visibleLines("not found\n"+hostile), 2)
	if text := visibleLines("한글 ok\nNext: é"); text != "한글 ok\nNext: é" {
		t.Errorf("%q", text)
	}
}

// After interrupted `sallyport up`s the list of hosts began with those that were terminated, and said what was wrong
// with them.
func TestTerminatedHostsComeLast(t *testing.T) {
	var out strings.Builder
	rows := []hostRow{
		{Name: "old", Host: sallyport.Host{InstanceId: "i-1", State: "terminated", Problems: []string{"sshd does not run."}}},
		{Name: "web", Host: sallyport.Host{InstanceId: "i-2", State: "running"}},
	}
	if err := printHosts(&out, rows); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if strings.Index(text, "web") > strings.Index(text, "old") || strings.Contains(text, "does not run") {
		t.Error(text)
	}
}
