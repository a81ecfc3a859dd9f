// Package isolated runs the tests of a package as on a machine whose user never used AWS, PostgreSQL or Sallyport:
// without the tester's home directory, profiles and variables. The SDKs read some of these before main, so it starts
// the process again with a clean environment.
package isolated

import (
	"fmt"
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// done is set in the environment of the process that was started again.
const done = "SALLYPORT_TEST_ISOLATED"

// home is the HOME of every test. It does not exist, and a test cannot make it by accident.
const home = "/nonexistent"

// Run runs the tests and returns their exit status. A TestMain calls it last: os.Exit(isolated.Run(m)).
func Run(m *testing.M) int {
	if os.Getenv(done) != "" {
		return m.Run()
	}
	environment, err := Environment(os.Environ())
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, environment)
	}
	fmt.Fprintln(os.Stderr, "isolate the tests:", err)
	return 1
}

// Environment returns the tester's environment without what is personal. The go command, which some tests run, still
// finds its caches and settings.
func Environment(tester []string) ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	settings, err := os.UserConfigDir()
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(slices.Clone(tester), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return personal(name)
	})
	kept = append(kept, done+"=1", "HOME="+home, "XDG_CACHE_HOME="+cache, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=")
	for name, value := range map[string]string{
		"GOPATH": build.Default.GOPATH, "GOENV": filepath.Join(settings, "go", "env"),
	} {
		if os.Getenv(name) == "" {
			kept = append(kept, name+"="+value)
		}
	}
	return kept, nil
}

// personal reports whether a variable is about the tester, and not about the machine or this run.
func personal(name string) bool {
	if strings.HasPrefix(name, "SALLYPORT_") {
		return !strings.HasPrefix(name, "SALLYPORT_TEST_")
	}
	return name == "HOME" || name == "SSH_AUTH_SOCK" || name == "BASH_ENV" || name == "ENV" ||
		strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "PG")
}
