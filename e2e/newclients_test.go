package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/testkit"
)

// way is one of the ways to tell a client by files and environment, instead of flags and code, where Sallyport is.
type way struct {
	name        string
	environment []string
}

// ways writes the files and returns every way that docs/clients.md names. Each leads a client that reads endpoint_url
// to the system, as its root user.
func ways(t *testing.T, s *testkit.System) []way {
	t.Helper()
	who, err := s.Root.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secure := strings.Replace(s.Endpoint, "http://", "https://", 1)
	authority := filepath.Join(s.Data, controlplane.AuthorityFile)
	served := filepath.Join(s.Data, controlplane.CredentialsFile)
	credentials := write("credentials", fmt.Sprintf("[sallyport]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
		who.AccessKeyID, who.SecretAccessKey))
	profile := write("config", fmt.Sprintf("[profile sallyport]\nregion = %s\nendpoint_url = %s\n",
		testkit.Region, s.Endpoint))
	overTLS := write("config-tls", fmt.Sprintf("[profile sallyport]\nregion = %s\nendpoint_url = %s\nca_bundle = %s\n",
		testkit.Region, secure, authority))
	byProfile := func(credentials string, more ...string) []string {
		return append([]string{"AWS_PROFILE=sallyport", "AWS_SHARED_CREDENTIALS_FILE=" + credentials}, more...)
	}
	byKeys := func(more ...string) []string {
		return append([]string{
			"AWS_ACCESS_KEY_ID=" + who.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + who.SecretAccessKey,
			"AWS_REGION=" + testkit.Region, "AWS_DEFAULT_REGION=" + testkit.Region,
		}, more...)
	}
	return []way{
		{"the file that serve writes", byProfile(served)},
		{"a profile", byProfile(credentials, "AWS_CONFIG_FILE="+profile)},
		{"a profile with https", byProfile(credentials, "AWS_CONFIG_FILE="+overTLS)},
		{"AWS_ENDPOINT_URL", byKeys("AWS_ENDPOINT_URL=" + s.Endpoint)},
		{"AWS_ENDPOINT_URL with https", byKeys("AWS_ENDPOINT_URL="+secure+"/", "AWS_CA_BUNDLE="+authority)},
		{"an endpoint a service", byKeys("AWS_ENDPOINT_URL_STS="+s.Endpoint, "AWS_ENDPOINT_URL_EC2="+s.Endpoint)},
	}
}

// without returns this process's environment as that of a user who never used AWS, with the additions.
func without(t *testing.T, additions []string) []string {
	t.Helper()
	environment := []string{"HOME=" + t.TempDir(), "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true"}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); name != "HOME" && !strings.HasPrefix(name, "AWS_") {
			environment = append(environment, variable)
		}
	}
	return append(environment, additions...)
}

// AWS's SDK for Go finds Sallyport by files and environment, with nothing set in code.
func TestSDKByProfileAndEnvironment(t *testing.T) {
	s := testkit.Start(t)
	for _, way := range ways(t, s) {
		t.Run(way.name, func(t *testing.T) {
			for _, variable := range os.Environ() {
				if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
					t.Setenv(name, "") // restores it after the test
					os.Unsetenv(name)
				}
			}
			t.Setenv("HOME", t.TempDir())
			for _, variable := range way.environment {
				name, value, _ := strings.Cut(variable, "=")
				t.Setenv(name, value)
			}
			config, err := awsconfig.LoadDefaultConfig(t.Context(), awsconfig.WithRetryMaxAttempts(1))
			if err != nil {
				t.Fatal(err)
			}
			caller, err := sts.NewFromConfig(config).GetCallerIdentity(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if aws.ToString(caller.Account) != testkit.Account {
				t.Errorf("it talks to somebody else: account %s", aws.ToString(caller.Account))
			}
			regions, err := ec2.NewFromConfig(config).DescribeRegions(t.Context(), nil)
			if err != nil || len(regions.Regions) != 1 {
				t.Errorf("%+v, %v", regions, err)
			}
		})
	}
}

// So does the aws command from 2.13 and 1.29 on.
func TestNewerAWSCommand(t *testing.T) {
	command := onPath(t, "aws", []string{"--version"}, `^aws-cli/(\d+)\.(\d+)`, func(major, minor int) bool {
		return major == 1 && minor >= 29 || major == 2 && minor >= 13
	})
	if command == "" {
		t.Skip("SKIPPED: no aws command of version 1.29, 2.13 or newer is on the PATH (pip install awscli). " +
			"The SDK's test covers the same ways.")
	}
	tryNewer(t, command, "sts", "get-caller-identity", "--output", "text")
}

// So does boto3 from 1.28 on.
func TestNewerBoto3(t *testing.T) {
	version := []string{"-c", "import boto3; print(boto3.__version__)"}
	python := onPath(t, "python3", version, `^(\d+)\.(\d+)`, func(major, minor int) bool {
		return major == 1 && minor >= 28 || major > 1
	})
	if python == "" {
		t.Skip("SKIPPED: no python3 on the PATH has boto3 1.28 or newer (pip install boto3). " +
			"The SDK's test covers the same ways.")
	}
	tryNewer(t, python, "-c", "import boto3; boto3.client('ec2').describe_regions(); "+
		"print(boto3.client('sts').get_caller_identity()['Account'])")
}

// tryNewer runs the client in every way. The client must print the account.
func tryNewer(t *testing.T, client string, args ...string) {
	t.Helper()
	s := testkit.Start(t)
	for _, way := range ways(t, s) {
		cmd := exec.CommandContext(t.Context(), client, args...)
		cmd.Env = without(t, way.environment)
		output, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(output), testkit.Account) {
			t.Errorf("%s by %s: %v\n%s", filepath.Base(client), way.name, err, output)
		}
	}
}

// onPath returns the first program of that name on the PATH whose version, read from its output, is new enough; "" if
// there is none.
func onPath(t *testing.T, name string, args []string, version string, newEnough func(major, minor int) bool) string {
	t.Helper()
	expression := regexp.MustCompile(version)
	for _, directory := range filepath.SplitList(os.Getenv("PATH")) {
		path, err := exec.LookPath(filepath.Join(directory, name))
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Env = without(t, nil)
		output, err := cmd.CombinedOutput()
		found := expression.FindStringSubmatch(string(output))
		if err != nil || found == nil {
			continue
		}
		major, _ := strconv.Atoi(found[1])
		minor, _ := strconv.Atoi(found[2])
		if newEnough(major, minor) {
			return path
		}
	}
	return ""
}
