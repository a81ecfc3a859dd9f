package enroll_test

import (
	"encoding/base64"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testkit/debian"
)

// scenario is the environment variable that names the scenario to run inside the Debian.
const scenario = "SALLYPORT_TEST_SCENARIO"

// hostProgram is the path of sallyport-host for the scenarios.
const hostProgram = "/root/sallyport-host"

func TestMain(m *testing.M) { os.Exit(debian.Main(m)) }

// TestDebian enrolls Debian machines made for it, one for each scenario.
func TestDebian(t *testing.T) { onDebian(t, debian.Bookworm, all()) }

// TestDebian11 runs the scenarios that only Debian 11 has.
func TestDebian11(t *testing.T) { onDebian(t, debian.Bullseye, debian11()) }

// onDebian runs each scenario in a Debian of the suite.
func onDebian(t *testing.T, suite debian.Suite, scenarios map[string]func(*testing.T)) {
	t.Helper()
	if debian.Inside() {
		name := os.Getenv(scenario)
		t.Run(name, scenarios[name])
		return
	}
	program := debian.Programs(t, "/root", "sallyport-host")
	for name := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			debian.Rerun(t, suite, program, scenario+"="+name)
		})
	}
}

// all returns the scenarios for every Debian.
func all() map[string]func(*testing.T) {
	found := scenarios()
	maps.Copy(found, setups())
	maps.Copy(found, lost())
	return found
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
