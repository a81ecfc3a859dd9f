package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// sshRequest holds the parsed arguments of `sallyport ssh`.
type sshRequest struct {
	instance string
	user     string   // empty: not given
	port     string   // empty: the reported one
	forward  bool     // -A: the caller's own agent
	options  []string // passed on to ssh
	command  []string
}

// sshOptionsWithValue are ssh's options that take a value (ssh(1), OpenSSH 9.9); all others are flags.
const sshOptionsWithValue = "BbcDEeFIiJLlmOoPpQRSWw"

// parseSSH parses arguments as ssh itself does: [USER@]INSTANCE, with options before or after it. The first other word,
// or everything after "--", is the command. Options may be combined (-vN) and values may follow directly (-luser).
func parseSSH(args []string) (sshRequest, error) {
	var r sshRequest
	named := false
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			if !named && len(args) > 0 {
				r.setInstance(args[0])
				args = args[1:]
			}
			r.command = args
			args = nil
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			rest, err := r.option(arg, args)
			if err != nil {
				return r, err
			}
			args = rest
		case !named:
			r.setInstance(arg)
			named = true
		default:
			r.command = append([]string{arg}, args...)
			args = nil
		}
	}
	if r.instance == "" {
		return r, fmt.Errorf("no instance is named. Try: sallyport hosts, then sallyport ssh INSTANCE")
	}
	return r, nil
}

// setInstance parses [USER@]INSTANCE. Like ssh, it splits at the last @: a user name may contain one.
func (r *sshRequest) setInstance(text string) {
	at := strings.LastIndexByte(text, '@')
	if at >= 0 && r.user == "" {
		r.user = text[:at]
	}
	r.instance = text[at+1:]
}

// option parses one argument that begins with a hyphen, with its value if it has one, and returns the remaining
// arguments.
func (r *sshRequest) option(arg string, args []string) (rest []string, err error) {
	if strings.HasPrefix(arg, "--") {
		return nil, fmt.Errorf(
			"%s is neither an option of sallyport ssh nor of ssh. Options of sallyport ssh stand before the instance", arg)
	}
	for i := 1; i < len(arg); i++ {
		letter := arg[i]
		if !strings.ContainsRune(sshOptionsWithValue, rune(letter)) {
			if letter == 'A' {
				r.forward = true
			} else {
				r.options = append(r.options, "-"+string(letter))
			}
			continue
		}
		value := arg[i+1:]
		if value == "" {
			if len(args) == 0 {
				return nil, fmt.Errorf("the option -%c needs a value", letter)
			}
			value, args = args[0], args[1:]
		}
		keyword, setting, _ := strings.Cut(value, "=")
		switch {
		case letter == 'l':
			r.user = value
		case letter == 'p':
			r.port = value
		case letter == 'o' && strings.EqualFold(keyword, "user"):
			r.user = setting
		case letter == 'o' && strings.EqualFold(keyword, "port"):
			r.port = setting
		case letter == 'o' && strings.EqualFold(value, "forwardagent=yes"):
			r.forward = true
		default:
			r.options = append(r.options, "-"+string(letter), value)
		}
		return args, nil
	}
	return args, nil
}

// sshTarget is the destination of a session.
type sshTarget struct {
	instanceID string
	user       string
	address    string
	port       string
	hostKeys   []string // "TYPE BASE64"; if none, ssh's own known_hosts decides
	keyTypes   []string // the key types that its sshd accepts; none if not reported
}

// The files of a session's directory.
const (
	agentSocket = "agent"
	publicKey   = "key.pub"
	knownHosts  = "known_hosts"
)

// sshArguments returns the arguments of ssh for a session whose agent, public key and known hosts are in the directory.
// For each option ssh uses the first value it is given. Ours come first, so the caller's options and configuration
// cannot override them: the pushed key is offered first, and only a reported host key is accepted. (Keys that the
// caller's own configuration names for every host come after it, as ssh combines those.)
func sshArguments(r sshRequest, target sshTarget, directory, callersAgent string) []string {
	args := []string{
		"-o", "HostName=" + target.address,
		"-o", "IdentityAgent=" + quote(filepath.Join(directory, agentSocket)),
		"-o", "IdentityFile=" + quote(filepath.Join(directory, publicKey)),
		"-o", "IdentitiesOnly=yes",
		"-o", "PasswordAuthentication=no",
		"-o", "ControlMaster=no", // a shared connection would not depend on this key
		"-o", "ControlPath=none",
	}
	if len(target.hostKeys) > 0 {
		args = append(args,
			"-o", "UserKnownHostsFile="+quote(filepath.Join(directory, knownHosts)),
			"-o", "GlobalKnownHostsFile=/dev/null",
			"-o", "KnownHostsCommand=none",
			"-o", "VerifyHostKeyDNS=no",
			"-o", "StrictHostKeyChecking=yes",
			"-o", "UpdateHostKeys=no",
			"-o", "CheckHostIP=no",
			"-o", "NoHostAuthenticationForLocalhost=no", // a host may have reported a loopback address
		)
	}
	args = append(args, "-o", "HostKeyAlias="+target.instanceID)
	args = append(args, "-l", target.user, "-p", target.port)
	args = append(args, r.options...)
	forward := "no" // the caller's configuration would forward the agent that holds this session's key
	if r.forward && callersAgent != "" {
		forward = quote(callersAgent)
	}
	args = append(args, "-o", "ForwardAgent="+forward, "--", target.instanceID)
	return append(args, r.command...)
}

// quote returns a path as one word of ssh_config(5), in which % begins a token.
func quote(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(path) + `"`
}

// knownHostsFile returns the known_hosts(5) lines for the instance.
func knownHostsFile(target sshTarget) string {
	var text strings.Builder
	for _, key := range target.hostKeys {
		fmt.Fprintf(&text, "%s %s\n", target.instanceID, key)
	}
	return text.String()
}

// chooseUser returns the user to log in as if the caller named none. reported lists the machine's login users.
//
// It is the caller's own name if the machine has it, else the user that the machine's distribution ships with, else the
// first that is not root, else root. A machine that reports no users, for instance one of AWS's own, gets ec2-user, as
// with the AWS CLI.
func chooseUser(reported []string, caller string) string {
	has := map[string]bool{}
	for _, user := range reported {
		has[user] = true
	}
	if has[caller] && caller != "" {
		return caller
	}
	for _, user := range []string{
		"ec2-user", "admin", "debian", "ubuntu", "fedora", "rocky", "almalinux", "centos", "opensuse", "alpine", "arch",
	} {
		if has[user] {
			return user
		}
	}
	for _, user := range reported {
		if user != "root" {
			return user
		}
	}
	if has["root"] {
		return "root"
	}
	return "ec2-user"
}
