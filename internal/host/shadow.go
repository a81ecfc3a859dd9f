package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shadow is an account's entry in shadow(5). Fields are days since 1970, or numbers of days; -1 if empty.
type shadow struct {
	missing                             bool // the account should have an entry, and has none
	locked                              bool // the password begins with "!"
	changed, maximum, inactive, expires int
}

// shadowOf returns the user's entry. ok is false if there is none, or if it cannot be read: only root may.
func shadowOf(ctx context.Context, user account) (s shadow, ok bool) {
	fields, err := entry("/etc/shadow", user.name)
	if fields == nil && err == nil && !user.local {
		fields, err = getent(ctx, "shadow", user.name)
	}
	if len(fields) != 9 {
		return shadow{missing: true}, err == nil && user.local && user.aged
	}
	days := func(text string) int {
		if n, err := strconv.Atoi(text); err == nil && n >= 0 {
			return n
		}
		return -1
	}
	return shadow{
		locked: strings.HasPrefix(fields[1], "!"), changed: days(fields[2]), maximum: days(fields[4]),
		inactive: days(fields[6]), expires: days(fields[7]),
	}, true
}

// refusal returns a sentence that says why the named account's age keeps it out at the time; "" if it does not. sshd
// itself checks when the account expires. With pam, pam_unix checks the password's age too, although the user showed a
// key, and demands a new password at the login, for which most users who log in by key do not know the old one.
func (s shadow) refusal(name string, now time.Time, pam bool) string {
	today := int(now.Unix() / 86400)
	date := func(day int) string { return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly) }
	var options []string
	if pam {
		var asked bool
		if options, asked = pamAccount("pam_unix.so"); !asked {
			return "" // PAM asks another module instead
		}
	}
	ends := s.changed + s.maximum
	switch {
	case s.missing && pam:
		return "The account has no entry in /etc/shadow, which PAM asks for. To make those that are missing: pwconv"
	case s.missing:
		return ""
	case s.expires >= 0 && (today > s.expires || pam && today == s.expires):
		return fmt.Sprintf("The account expired on %s. To let it live on: chage -E -1 %s", date(s.expires), name)
	case !pam || slices.Contains(options, "no_pass_expiry"):
		return ""
	case s.changed == 0:
		return "The account's password must be changed before anything else. To take that back: chage -d -1 " + name
	case s.changed > 0 && s.maximum >= 0 && s.changed <= today && today > ends:
		return fmt.Sprintf("The account's password expired on %s, and PAM lets nobody in before it is changed. "+
			"To take that back: chage -M -1 %s", date(ends), name)
	}
	return ""
}

// nologinFiles close a machine to everybody but root, while it boots and before it shuts down. sshd itself checks the
// first, pam_nologin both.
var nologinFiles = [...]string{"/etc/nologin", "/run/nologin"}

// closed returns a sentence that says why the machine admits only root; "" if it does not.
func closed(pam bool) string {
	for i, path := range nologinFiles {
		if _, err := os.Stat(path); err == nil && (i == 0 || pam && pamNologin()) {
			return fmt.Sprintf("The machine is closed to all but root, as %s is there.", path)
		}
	}
	return ""
}

func pamNologin() bool {
	_, asked := pamAccount("pam_nologin.so")
	return asked
}

// pamAccount finds the module in the account stack of sshd's PAM configuration and returns its options. ok is false if
// the module is not there.
func pamAccount(module string) (options []string, ok bool) { return pamAccountIn("sshd", module, 0) }

// maxPAMIncludes bounds the depth of files that include files.
const maxPAMIncludes = 16

func pamAccountIn(name, module string, depth int) (options []string, ok bool) {
	text, err := os.ReadFile(filepath.Join("/etc/pam.d", name))
	if err != nil || depth > maxPAMIncludes {
		return nil, false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 2 || strings.HasPrefix(fields[0], "#"):
		case fields[0] == "@include":
			options, ok = pamAccountIn(fields[1], module, depth+1)
		case strings.TrimPrefix(fields[0], "-") != "account" || len(fields) < 3:
		case fields[1] == "include" || fields[1] == "substack":
			options, ok = pamAccountIn(fields[2], module, depth+1)
		default:
			at := slices.IndexFunc(fields, func(field string) bool { return filepath.Base(field) == module })
			if ok = at > 0; ok {
				options = fields[at+1:]
			}
		}
		if ok {
			return options, true
		}
	}
	return nil, false
}
