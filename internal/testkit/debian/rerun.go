package debian

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

// Rerun runs the test that calls it once more, from its top, inside a fresh Debian; there, where Inside says so, it
// does its work. The variables, "NAME=VALUE", tell it what. If the inner run fails, or takes longer than the time
// allowed, so does the outer; if it is skipped, so is the outer. The files are those of Command.
func Rerun(t *testing.T, files map[string]string, allowed time.Duration, variables ...string) {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	cmd, err := Command(t.Context(), files, "-test.run=^"+test+"$", "-test.v", "-test.timeout="+allowed.String())
	if errors.Is(err, ErrUnavailable) {
		prerequisite.Missing(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(append(cmd.Env, variables...), "TMPDIR="+t.TempDir(), prerequisite.Variable+"="+os.Getenv(prerequisite.Variable))
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

// Programs builds our programs of these names (under cmd/), static, as they are shipped. The result is for Command:
// it puts them into the directory in the Debian.
func Programs(t *testing.T, directory string, names ...string) map[string]string {
	t.Helper()
	bin, files := t.TempDir(), map[string]string{}
	args := []string{"build", "-o", bin + "/"}
	for _, name := range names {
		args = append(args, "github.com/sallyport/sallyport/cmd/"+name)
		files[filepath.Join(bin, name)] = path.Join(directory, name)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, output)
	}
	return files
}
