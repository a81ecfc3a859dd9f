package debian

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/testkit/isolated"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

// parallel is how many Debians run at the same time. They wait for clocks and processes more than they compute, and
// each keeps its changes in memory.
const parallel = "4"

// Main is the TestMain of a package that uses Rerun. It returns the exit status.
func Main(m *testing.M) int {
	if err := errors.Join(Enter(), flag.Set("test.parallel", parallel)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if Inside() {
		return m.Run()
	}
	return isolated.Run(m)
}

// allowed bounds the run of a test inside a Debian, even on a busy machine. No test needs a tenth of it.
const allowed = 20 * time.Minute

// Rerun runs the test that calls it again, from its beginning, inside a fresh Debian of the suite, where Inside reports
// true and the test does its work. variables, "NAME=VALUE", are added to its environment. The outer test fails if the
// inner one fails or hangs, and is skipped if the inner one is. files are those of Command.
func Rerun(t *testing.T, suite Suite, files map[string]string, variables ...string) {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	cmd, err := Command(t.Context(), suite, files, "-test.run=^"+test+"$", "-test.v", "-test.timeout="+allowed.String())
	if errors.Is(err, ErrUnavailable) {
		prerequisite.Missing(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(append(cmd.Env, variables...), "TMPDIR="+t.TempDir(),
		prerequisite.Variable+"="+os.Getenv(prerequisite.Variable))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err = cmd.Run(); Refused(err) {
		prerequisite.Missing(t, "this system does not permit namespaces: ", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, output.String())
	}
	if bytes.Contains(output.Bytes(), []byte("--- SKIP: ")) {
		t.Skip(output.String())
	}
	if testing.Verbose() {
		t.Log(output.String())
	}
}

// Programs builds the programs with these names (under cmd/) as they are shipped. It returns the files argument for
// Command that puts them into the directory in the Debian.
func Programs(t *testing.T, directory string, names ...string) map[string]string {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find the checkout: %v", err)
	}
	bin, files := t.TempDir(), map[string]string{}
	for _, name := range names {
		files[filepath.Join(bin, name)] = path.Join(directory, name)
	}
	script := filepath.Join(strings.TrimSpace(string(module)), "scripts/build")
	cmd := exec.CommandContext(t.Context(), script, append([]string{bin}, names...)...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, output)
	}
	return files
}
