package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSSH(t *testing.T) {
	for line, want := range map[string]sshRequest{
		"web":                        {instance: "web"},
		"deploy@web":                 {instance: "web", user: "deploy"},
		"web -l deploy -- uptime -p": {instance: "web", user: "deploy", command: []string{"uptime", "-p"}},
		"web -ldeploy uptime -p":     {instance: "web", user: "deploy", command: []string{"uptime", "-p"}},
		"-l deploy other@web":        {instance: "web", user: "deploy"},
		"web -p 2222 -v":             {instance: "web", port: "2222", options: []string{"-v"}},
		"web -vvN -L 8080:localhost:80": {
			instance: "web", options: []string{"-v", "-v", "-N", "-L", "8080:localhost:80"},
		},
		"web -NL8080:localhost:80": {instance: "web", options: []string{"-N", "-L", "8080:localhost:80"}},
		"web -A -o Compression=yes -- true": {
			instance: "web", forward: true, options: []string{"-o", "Compression=yes"}, command: []string{"true"},
		},
		"-t web htop":                  {instance: "web", options: []string{"-t"}, command: []string{"htop"}},
		"a@b@web -o User=c -o port=22": {instance: "web", user: "c", port: "22"},
		"web -o ForwardAgent=yes":      {instance: "web", forward: true},
		"a@b@web -o Compression=yes":   {instance: "web", user: "a@b", options: []string{"-o", "Compression=yes"}},
		"-- web true":                  {instance: "web", command: []string{"true"}},
	} {
		got, err := parseSSH(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if len(got.command) == 0 {
			got.command = nil
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(sshRequest{})); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
	for line, complaint := range map[string]string{
		"":             "no instance",
		"-v":           "no instance",
		"web -L":       "needs a value",
		"web --region": "before the instance",
	} {
		if _, err := parseSSH(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%q: %v, want something about %q", line, err, complaint)
		}
	}
	// If the name is empty, for instance from a variable that is not set, the command's first word must not be taken for
	// it.
	if r, err := parseSSH([]string{"", "--", "web"}); err == nil {
		t.Errorf("taken for %+v", r)
	}
}

func TestSSHArguments(t *testing.T) {
	target := sshTarget{
		instanceID: "i-0aaa", user: "root", address: "127.0.0.1", port: "2222",
		hostKeys: []string{"ssh-ed25519 AAAA"},
	}
	request := sshRequest{
		options: []string{"-o", "StrictHostKeyChecking=no", "-v"}, command: []string{"echo", "-n", "a b"}, forward: true,
	}
	got := sshArguments(request, target, "/tmp/100% mine", "/run/agent")
	want := []string{
		"-o", "HostName=127.0.0.1",
		"-o", `IdentityAgent="/tmp/100%% mine/agent"`,
		"-o", `IdentityFile="/tmp/100%% mine/key.pub"`,
		"-o", "IdentitiesOnly=yes",
		"-o", "PasswordAuthentication=no",
		"-o", "ControlMaster=no", "-o", "ControlPath=none",
		"-o", `UserKnownHostsFile="/tmp/100%% mine/known_hosts"`,
		"-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "KnownHostsCommand=none",
		"-o", "VerifyHostKeyDNS=no",
		"-o", "StrictHostKeyChecking=yes",
		"-o", "UpdateHostKeys=no",
		"-o", "CheckHostIP=no",
		"-o", "NoHostAuthenticationForLocalhost=no",
		"-o", "HostKeyAlias=i-0aaa",
		"-l", "root", "-p", "2222",
		"-o", "StrictHostKeyChecking=no", "-v",
		"-o", `ForwardAgent="/run/agent"`,
		"--", "i-0aaa", "echo", "-n", "a b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	target.hostKeys = nil
	got = sshArguments(sshRequest{}, target, "/tmp/x", "/run/agent")
	for _, arg := range got {
		if strings.Contains(arg, "KnownHosts") || strings.Contains(arg, "StrictHostKey") {
			t.Errorf("without reported keys there is %s", arg)
		}
	}
	// With ForwardAgent yes in ~/.ssh/config ssh would forward this session's own agent.
	if !slices.Contains(got, "ForwardAgent=no") {
		t.Errorf("the agent may be forwarded by %q", got)
	}
}

func TestChooseUser(t *testing.T) {
	for _, c := range []struct {
		reported []string
		caller   string
		want     string
	}{
		{[]string{"root", "alice", "bob"}, "bob", "bob"},
		{[]string{"root", "alice", "admin"}, "carol", "admin"},
		{[]string{"root", "alice"}, "carol", "alice"},
		{[]string{"root"}, "carol", "root"},
		{nil, "carol", "ec2-user"},
		{[]string{"root", "alice"}, "", "alice"},
		{[]string{"root", "alice"}, "root", "root"},
	} {
		if got := chooseUser(c.reported, c.caller); got != c.want {
			t.Errorf("%v for %q: %s, want %s", c.reported, c.caller, got, c.want)
		}
	}
}

func TestKnownHostsFile(t *testing.T) {
	got := knownHostsFile(sshTarget{instanceID: "i-0aaa", hostKeys: []string{"ssh-ed25519 AAAA", "ssh-rsa BBBB"}})
	if want := "i-0aaa ssh-ed25519 AAAA\ni-0aaa ssh-rsa BBBB\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
