package awsprofile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gopkg.in/ini.v1"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

const existing = `# my profiles
[default]
region = eu-west-1
s3 =
    max_concurrent_requests = 20

; work
[profile   "work"]
sso_session=corp
output = json   # keep

[sso-session corp]
sso_region = us-east-1
`

func TestSetSectionAdds(t *testing.T) {
	got := setSection(existing, "profile sallyport", []setting{
		{"region", "on-prem-1"}, {"endpoint_url", "http://127.0.0.1:7474"}, {"ca_bundle", ""},
	})
	want := existing + "\n[profile sallyport]\nregion = on-prem-1\nendpoint_url = http://127.0.0.1:7474\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if back := removeSection(got, "profile sallyport"); back != existing {
		t.Errorf("removed again, this is left:\n%s", back)
	}
}

func TestSetSectionChangesOnlyItsLines(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"in place, order and comments kept": {
			"[a]\nx = 1\n\n[profile sallyport]\n# mine\nendpoint_url=http://old\noutput = json\nregion = r\n\n" +
				"# about b\n[b]\ny = 2\n",
			"[a]\nx = 1\n\n[profile sallyport]\n# mine\nendpoint_url = http://new\noutput = json\nregion = r\n\n" +
				"# about b\n[b]\ny = 2\n",
		},
		"a missing key goes after the last line that says something": {
			"[profile sallyport]\nregion = r\n\n\n[b]\n",
			"[profile sallyport]\nregion = r\nendpoint_url = http://new\n\n\n[b]\n",
		},
		"no newline at the end": {
			"[profile sallyport]\nregion = r",
			"[profile sallyport]\nregion = r\nendpoint_url = http://new\n",
		},
		"nested lines belong to the key above": {
			"[profile sallyport]\nendpoint_url =\n  a = b\nregion = r\n",
			"[profile sallyport]\nendpoint_url = http://new\nregion = r\n",
		},
		"the same key in another section": {
			"[profile other]\nendpoint_url = http://other\n[profile sallyport]\n",
			"[profile other]\nendpoint_url = http://other\n[profile sallyport]\nregion = r\nendpoint_url = http://new\n",
		},
		"quoted header": {
			"[profile \"sallyport\"]\nregion = r\n",
			"[profile \"sallyport\"]\nregion = r\nendpoint_url = http://new\n",
		},
		"DOS line ends": {
			"[default]\r\nregion = x\r\n",
			"[default]\r\nregion = x\r\n\r\n[profile sallyport]\r\nregion = r\r\nendpoint_url = http://new\r\n",
		},
		"empty": {"", "[profile sallyport]\nregion = r\nendpoint_url = http://new\n"},
	} {
		settings := []setting{{"region", "r"}, {"endpoint_url", "http://new"}}
		got := setSection(c.text, "profile sallyport", settings)
		if got != c.want {
			t.Errorf("%s: got\n%q\nwant\n%q", name, got, c.want)
		}
		if again := setSection(got, "profile sallyport", settings); again != got {
			t.Errorf("%s: done twice it is\n%q", name, again)
		}
	}
}

func TestSetSectionTakesAway(t *testing.T) {
	settings := []setting{{"aws_access_key_id", "A"}, {"aws_session_token", ""}}
	got := setSection("[s]\naws_session_token = old\naws_access_key_id = A\n", "s", settings)
	if want := "[s]\naws_access_key_id = A\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRemoveSection(t *testing.T) {
	for text, want := range map[string]string{
		"[a]\nx = 1\n\n[s]\ny = 2\n\n# about b\n[b]\n": "[a]\nx = 1\n\n# about b\n[b]\n",
		"[s]\ny = 2\n":       "",
		"[a]\nx = 1\n":       "[a]\nx = 1\n",
		"[a]\n[s]\n":         "[a]\n",
		"[profile s]\nx=1\n": "[profile s]\nx=1\n",
	} {
		if got := removeSection(text, "s"); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// TestSetSectionKeepsEverythingElse checks that in any file every other line stays, in order, and that a reader of the
// format finds our values.
func TestSetSectionKeepsEverythingElse(t *testing.T) {
	line := rapid.SampledFrom([]string{
		"[default]", "[profile work]", "[profile sallyport]",
		"x = 1", "region = old", "  nested = 1", "# note", "; note", "", "k=v=w",
	})
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(line, 0, 20).Draw(t, "lines")
		text := strings.Join(lines, "\n")
		got := setSection(text, "profile sallyport", []setting{{"region", "new"}})
		if again := setSection(got, "profile sallyport", []setting{{"region", "new"}}); again != got {
			t.Fatalf("not idempotent:\n%q\n%q", got, again)
		}
		others := func(text string) (kept []string) {
			section := ""
			for _, line := range splitLines(text) {
				line = strings.TrimRight(line, "\n")
				if name, ok := sectionName(line); ok {
					section = name
				}
				if section != "profile sallyport" && line != "" {
					kept = append(kept, line)
				}
			}
			return kept
		}
		if before, after := strings.Join(others(text), "\n"), strings.Join(others(got), "\n"); before != after {
			t.Fatalf("other sections changed:\n%q\n%q", before, after)
		}
		start, end, ok := findSection(splitLines(got), "profile sallyport")
		if !ok || !strings.Contains(strings.Join(splitLines(got)[start:end], ""), "region = new\n") {
			t.Fatalf("the value is not there:\n%q", got)
		}
	})
}

func TestWrite(t *testing.T) {
	directory := t.TempDir()
	dotfiles := filepath.Join(directory, "dotfiles")
	if err := os.Mkdir(dotfiles, 0o755); err != nil {
		t.Fatal(err)
	}
	real := filepath.Join(dotfiles, "aws-config")
	if err := os.WriteFile(real, []byte(existing), 0o644); err != nil {
		t.Fatal(err)
	}
	files := Files{Config: filepath.Join(directory, "config"), Credentials: filepath.Join(directory, "new", "credentials")}
	if err := os.Symlink(real, files.Config); err != nil {
		t.Fatal(err)
	}
	p := Profile{AccessKeyID: "AKIA1", Secret: "secret", Region: "on-prem-1", EndpointURL: "http://127.0.0.1:7474"}
	changed, err := files.Write("sallyport", p)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if info, err := os.Lstat(files.Config); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the mode changed: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(files.Credentials); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("new credentials have mode %v, %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(directory, "*", ".*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	credentials, err := ini.Load(files.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	if got := credentials.Section("sallyport").Key("aws_secret_access_key").String(); got != "secret" {
		t.Errorf("secret %q", got)
	}
	if got, ok := files.Read("sallyport"); !ok || got != p {
		t.Errorf("read back it is %+v, %v", got, ok)
	}
	if got, ok := files.Read("nobody"); ok || got != (Profile{}) {
		t.Errorf("nobody's is %+v", got)
	}
	for _, name := range []string{"", "a]b", "a\nb", "a  b", `"a"`} {
		if _, err := files.Write(name, p); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}

	if changed, err := files.Write("sallyport", p); err != nil || changed {
		t.Errorf("done twice: changed %v, %v", changed, err)
	}
	if err := files.Remove("sallyport"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(real); err != nil || string(text) != existing {
		t.Errorf("after removal: %v\n%s", err, text)
	}
	if _, err := os.Stat(files.Credentials); !os.IsNotExist(err) {
		t.Errorf("after removal the credentials, which held nothing else, are still there: %v", err)
	}
}

// Root ran `sallyport up` with somebody's home as its own. The directory that it made there belonged to root, and its
// owner could not enter it; nor could they read the profile in it.
func TestWhatRootMakesIsTheOwnersOfTheHome(t *testing.T) {
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "root, to write in somebody's home")
	}
	const uid, gid = 12345, 23456
	home := t.TempDir()
	if err := os.Chown(home, uid, gid); err != nil {
		t.Fatal(err)
	}
	files := Files{
		Config:      filepath.Join(home, ".config", "aws", "config"),
		Credentials: filepath.Join(home, ".aws", "credentials"),
	}
	p := Profile{AccessKeyID: "AKIA1", Secret: "secret", Region: "on-prem-1"}
	if _, err := files.Write("sallyport", p); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		if owner.Uid != uid || owner.Gid != gid || path != home && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is of %d:%d, %v", path, owner.Uid, owner.Gid, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
