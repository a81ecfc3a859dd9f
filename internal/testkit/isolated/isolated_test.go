package isolated_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"github.com/sallyport/sallyport/internal/testkit/isolated"
)

func TestMain(m *testing.M) { os.Exit(isolated.Run(m)) }

// Somebody ran `make up` and then `make test`. The SDK had read where ~/.aws is before any test began. So changing HOME
// in the test was too late, and the test read the profile that `up` had written.
func TestNoTestReadsTheTestersFiles(t *testing.T) {
	for _, path := range append(awsconfig.DefaultSharedConfigFiles, awsconfig.DefaultSharedCredentialsFiles...) {
		if !strings.HasPrefix(path, "/nonexistent/") {
			t.Errorf("the SDK reads %s", path)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("GOPATH", "")
	got, err := isolated.Environment([]string{
		"HOME=/home/ana", "PATH=/bin", "AWS_PROFILE=sallyport",
		"AWS_CONFIG_FILE=/x", "XDG_CONFIG_HOME=/y", "PGHOST=db", "PGSERVICE=s",
		"SSH_AUTH_SOCK=/s", "SALLYPORT_HOST_TOKEN=t", "SALLYPORT_TEST_PREREQUISITES=required", "GOFLAGS=-trimpath",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range got {
		for _, personal := range []string{
			"/home/ana", "AWS_PROFILE=", "AWS_CONFIG_FILE=", "XDG_CONFIG_HOME=", "PG", "SSH_", "SALLYPORT_HOST",
		} {
			if strings.HasPrefix(variable, personal) {
				t.Errorf("left is %s", variable)
			}
		}
		if path, ok := strings.CutPrefix(variable, "GOPATH="); ok && !filepath.IsAbs(path) {
			t.Errorf("the go command loses its modules: %s", variable)
		}
	}
	for _, kept := range []string{
		"PATH=/bin", "GOFLAGS=-trimpath", "SALLYPORT_TEST_PREREQUISITES=required", "HOME=/nonexistent",
	} {
		if !slices.Contains(got, kept) {
			t.Errorf("lost is %s", kept)
		}
	}
}
