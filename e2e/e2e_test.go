// Package e2e runs the stories of users as scripts, testdata/*.txtar, in the words of users: the stock aws CLI,
// OpenSSH, our programs as they are shipped. Each script has a Debian of its own.
//
//	go test ./e2e -run TestScripts/w1 -v
package e2e_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/internal/testkit/debian"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// script is the environment variable that names the script to run inside the Debian. scriptText has its text, as the
// checkout is not accessible there.
const (
	script     = "SALLYPORT_TEST_SCRIPT"
	scriptText = "SALLYPORT_TEST_SCRIPT_TEXT"
)

// programs is the directory in which the scripts find our programs.
const programs = "/opt/sallyport/bin"

func TestMain(m *testing.M) { os.Exit(debian.Main(m)) }

func TestScripts(t *testing.T) {
	if debian.Inside() {
		runScript(t)
		return
	}
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	bin := debian.Programs(t, programs, "sallyport", "sallyport-host")
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			debian.Rerun(t, debian.Bookworm, bin, script+"="+filepath.Base(path), scriptText+"="+string(text))
		})
	}
}

// runScript runs, inside the Debian, the script that the environment names.
func runScript(t *testing.T) {
	if strings.Contains(os.Getenv(scriptText), "\nboot\n") {
		if err := debian.CanBoot(); err != nil {
			prerequisite.Missing(t, err)
		}
	}
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, os.Getenv(script)), []byte(os.Getenv(scriptText)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeWrappers("/usr/local/bin"); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: directory,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", "/root")
			env.Setenv("PATH", programs+":"+os.Getenv("PATH"))
			env.Setenv("AWS_PROFILE", "sallyport")
			env.Setenv("AWS_PAGER", "")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"capture": capture, "extract": extract, "await": await, "sleep": sleep, "status": status, "boot": boot,
		},
	})
}

// writeWrappers writes wrappers of the stock clients with the settings that a person has in ~/.ssh/config and in shell
// aliases. The aws of Debian 12 is older than endpoint_url in a profile, so the wrapper passes it as a flag. ssh
// accepts new host keys without a question, as nobody could answer one, and offers the key it was given.
func writeWrappers(directory string) error {
	for name, text := range map[string]string{
		"aws": "#!/bin/sh\nexec /usr/bin/aws --endpoint-url http://127.0.0.1:7474 \"$@\"\n",
		"ssh": "#!/bin/sh\ncase \"$*\" in *StrictHostKeyChecking*) exec /usr/bin/ssh \"$@\";; esac\n" +
			"exec /usr/bin/ssh -o StrictHostKeyChecking=accept-new -o IdentitiesOnly=yes -o BatchMode=yes \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// capture NAME REGEXP sets NAME to the expression's first group in the last command's output.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("the output has nothing like %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// extract FILE PATH NAME sets NAME to the string at the dotted path of a JSON file.
func extract(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: extract FILE PATH NAME")
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &value))
	for name := range strings.SplitSeq(args[1], ".") {
		object, ok := value.(map[string]any)
		if !ok {
			ts.Fatalf("%s has no %s", args[0], args[1])
		}
		value = object[name]
	}
	text, ok := value.(string)
	if !ok {
		ts.Fatalf("%s: %s is %v", args[0], args[1], value)
	}
	ts.Setenv(args[2], text)
}

// await COMMAND… runs a command every half second until it succeeds. After wait.Patience it fails. A script says what
// it waits for, not how long that may take.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || args[0][0] >= '0' && args[0][0] <= '9' {
		ts.Fatalf("usage: await COMMAND…, without a duration")
	}
	for end := time.Now().Add(wait.Patience); ; time.Sleep(500 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v still fails after %v: %v", args, wait.Patience, err)
		}
	}
}

// boot boots a machine from the Debian: systemd starts its services. The script runs outside of it, and enters it by
// ssh.
func boot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: boot")
	}
	machine, err := debian.Boot()
	ts.Check(err)
	ts.Defer(func() { ts.Check(machine.Off()) })
}

// sleep SECONDS waits. Keys expire by the clock, which a test cannot set.
func sleep(ts *testscript.TestScript, neg bool, args []string) {
	seconds, err := strconv.Atoi(args[0])
	if neg || err != nil || seconds > 120 {
		ts.Fatalf("usage: sleep SECONDS")
	}
	time.Sleep(time.Duration(seconds) * time.Second)
}

// status CODE COMMAND… checks a command's exit status.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	if got := 0; want != 0 && (!errors.As(err, &ended) || ended.ExitCode() != want) || want == 0 && err != nil {
		if ended != nil {
			got = ended.ExitCode()
		}
		ts.Fatalf("%v ended with %d (%v), want %d", args[1:], got, err, want)
	}
}
