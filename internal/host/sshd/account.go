package sshd

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"strings"
)

// Account holds the facts of a user that sshd looks at before it lets the user in by a key.
type Account struct {
	Name   string
	UID    int
	Shell  string   // as in passwd(5): an empty one is /bin/sh
	Groups []string // names; only used if NamesGroups
	Locked bool     // the password in shadow(5) begins with "!", as `passwd -l` and `useradd` leave it
}

// NamesGroups reports whether an account's groups decide whether it may log in.
func (s Settings) NamesGroups() bool { return len(s["allowgroups"])+len(s["denygroups"]) > 0 }

// UsesPAM reports whether PAM also decides about logins.
func (s Settings) UsesPAM() bool { return s.Get("usepam") == "yes" }

// Anywhere returns the part of a user's settings that holds wherever the user connects from, for use when Match blocks
// look at addresses. It keeps the settings that no such block can set, and those that make an account's shell
// unimportant.
func (s Settings) Anywhere() Settings {
	kept := Settings{}
	for _, keyword := range []string{"usepam", "chrootdirectory", "forcecommand", "permittty"} {
		if values, ok := s[keyword]; ok {
			kept[keyword] = values
		}
	}
	return kept
}

// Refusal returns, as a sentence, why sshd refuses every key of the account; "" if it may accept one. The settings must
// be those of the user. It follows allowed_user and auth_root_allowed of OpenSSH's auth.c. Where an address decides,
// the answer is "", as the address is not known yet.
func (s Settings) Refusal(a Account) string {
	return cmp.Or(s.refusesKeys(), s.refusesRoot(a), s.refusesLocked(a), s.refusesShell(a), s.refusesName(a))
}

func (s Settings) refusesKeys() string {
	if s.Get("pubkeyauthentication") == "no" {
		return "sshd takes no keys: PubkeyAuthentication is no."
	}
	methods := s.Get("authenticationmethods")
	if methods != "" && methods != "any" && !strings.Contains(methods, "publickey") {
		return fmt.Sprintf("sshd takes no keys: AuthenticationMethods is %s.", methods)
	}
	return ""
}

func (s Settings) refusesRoot(a Account) string {
	permit := s.Get("permitrootlogin")
	if a.UID == 0 && (permit == "no" || permit == "forced-commands-only") {
		return fmt.Sprintf("sshd does not let root in: PermitRootLogin is %s.", permit)
	}
	return ""
}

// refusesLocked returns why sshd refuses a locked account; "" if it does not. With PAM a locked password is no obstacle
// to a key.
func (s Settings) refusesLocked(a Account) string {
	if a.Locked && !s.UsesPAM() {
		return "The account is locked, and sshd does without PAM. To allow keys but no password: usermod -p '*' " + a.Name
	}
	return ""
}

func (s Settings) refusesShell(a Account) string {
	shell := a.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	if s.Get("chrootdirectory") == "" {
		info, err := os.Stat(shell)
		switch {
		case err != nil:
			return fmt.Sprintf("The account's shell %s does not exist.", shell)
		case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
			return fmt.Sprintf("The account's shell %s is not a program.", shell)
		}
	}
	if NoLogin(shell) && !s.needsNoShell() {
		return fmt.Sprintf("The account is not for logins: its shell is %s. "+
			"If it is for SFTP or tunnels only, tell sshd by ForceCommand internal-sftp or PermitTTY no.", shell)
	}
	return ""
}

// NoLogin reports whether a shell only refuses logins, or runs one command and ends.
func NoLogin(shell string) bool {
	switch path.Base(shell) {
	case "nologin", "false", "true", "sync", "shutdown", "halt":
		return true
	}
	return false
}

// needsNoShell reports whether the user's settings are made for a use for which sshd runs no shell: its own SFTP
// server, or forwarding alone.
func (s Settings) needsNoShell() bool {
	forced := strings.Fields(s.Get("forcecommand"))
	return len(forced) > 0 && forced[0] == "internal-sftp" || s.Get("permittty") == "no"
}

func (s Settings) refusesName(a Account) string {
	if matchesAny(a.Name, s["denyusers"], func(address string) bool { return address == "" }) {
		return "sshd's DenyUsers names the user."
	}
	if len(s["allowusers"]) > 0 && !matchesAny(a.Name, s["allowusers"], func(string) bool { return true }) {
		return "sshd's AllowUsers does not name the user."
	}
	if !s.NamesGroups() {
		return ""
	}
	in := func(groups []string) bool {
		for _, group := range a.Groups {
			for _, pattern := range groups {
				if matchPattern(group, pattern) {
					return true
				}
			}
		}
		return false
	}
	switch {
	case len(a.Groups) == 0:
		return "sshd looks at groups (AllowGroups, DenyGroups), and none of the user's has a name."
	case in(s["denygroups"]):
		return "sshd's DenyGroups names a group of the user."
	case len(s["allowgroups"]) > 0 && !in(s["allowgroups"]):
		return "sshd's AllowGroups names no group of the user."
	}
	return ""
}

// matchesAny reports whether one of the patterns, "USER" or "USER@ADDRESSES", matches the user and fine accepts its
// addresses ("" for none).
func matchesAny(user string, patterns []string, fine func(addresses string) bool) bool {
	for _, pattern := range patterns {
		name, addresses, _ := strings.Cut(pattern, "@")
		if fine(addresses) && matchPattern(user, name) {
			return true
		}
	}
	return false
}

// matchPattern reports whether the text matches a pattern of ssh_config(5): "*" matches any text, "?" any byte.
func matchPattern(text, pattern string) bool {
	star, retry := -1, 0
	p := 0
	for t := 0; t < len(text); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			retry++
			p, t = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
