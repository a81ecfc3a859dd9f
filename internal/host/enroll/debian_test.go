package enroll_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testkit/debian"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

// scenario names, in the environment, what to run inside the Debian.
const scenario = "SALLYPORT_TEST_SCENARIO"

// hostProgram is where a scenario finds sallyport-host.
const hostProgram = "/root/sallyport-host"

func TestMain(m *testing.M) {
	if err := debian.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestDebian enrolls Debian machines made for it, one for each scenario.
func TestDebian(t *testing.T) {
	if debian.Inside() {
		name := os.Getenv(scenario)
		t.Run(name, scenarios()[name])
		return
	}
	program := buildProgram(t)
	for name := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runInside(t, name, program)
		})
	}
}

// runInside runs one scenario in a Debian of its own.
func runInside(t *testing.T, name, program string) {
	cmd, err := debian.Command(t.Context(), map[string]string{program: hostProgram}, "-test.run=^TestDebian$", "-test.v", "-test.timeout=150s")
	if errors.Is(err, debian.ErrUnavailable) {
		prerequisite.Missing(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, scenario+"="+name, "TMPDIR="+t.TempDir())
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err = cmd.Run(); debian.Refused(err) {
		prerequisite.Missing(t, "this system does not permit namespaces: ", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, output.String())
	}
}

// buildProgram builds sallyport-host, static, as it is shipped.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "sallyport-host")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/sallyport/sallyport/cmd/sallyport-host")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build sallyport-host: %v\n%s", err, output)
	}
	return program
}

func base64Key(key ssh.PublicKey) string { return base64.StdEncoding.EncodeToString(key.Marshal()) }

// run runs a program of the Debian and fails the test if it fails.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	output, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, output)
	}
	return string(output)
}
