package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/sallyport/sallyport/internal/host/enroll"
	"github.com/sallyport/sallyport/internal/sshkey"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/debian"
)

// programs is where a machine finds ours, and emptyProgram that of ./empty among them.
const (
	programs     = "/opt/sallyport/bin"
	emptyProgram = "empty"
)

// insideMachine runs one of the benchmarks below in a Debian of its own, so that nothing of this machine's sshd,
// users and files is touched, and reads back its rows.
func insideMachine(name string) func(context.Context, string) ([]row, error) {
	return func(ctx context.Context, bin string) ([]row, error) {
		empty, err := buildEmpty(ctx)
		if err != nil {
			return nil, err
		}
		defer os.Remove(empty)
		files := map[string]string{empty: filepath.Join(programs, emptyProgram)}
		for _, program := range []string{"sallyport", "sallyport-host"} {
			files[filepath.Join(bin, program)] = filepath.Join(programs, program)
		}
		cmd, err := debian.Command(ctx, debian.Bookworm, files, name)
		if err != nil {
			return nil, err
		}
		cmd.Stderr = os.Stderr
		output, err := cmd.Output()
		if err != nil {
			return nil, err
		}
		var rows []row
		return rows, json.Unmarshal(output, &rows)
	}
}

// buildEmpty builds ./empty as scripts/build does what we ship.
func buildEmpty(ctx context.Context) (path string, err error) {
	file, err := os.CreateTemp("", "bench-empty-")
	if err != nil {
		return "", err
	}
	file.Close()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", file.Name(),
		"github.com/sallyport/sallyport/bench/empty")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the empty program: %w: %s", err, output)
	}
	return file.Name(), nil
}

// runInside is the other side of insideMachine.
func runInside(ctx context.Context, name string) error {
	measure := map[string]func(context.Context) ([]row, error){"keys": measureKeys, "login": measureLogin}[name]
	if measure == nil {
		return fmt.Errorf("there is no benchmark %q for a machine", name)
	}
	rows, err := measure(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(rows)
}

// machine is a Debian on which `sallyport up` was run.
type machine struct {
	testkit.Clients
	instance string
	port     string // of the private sshd
}

func newMachine(ctx context.Context) (*machine, error) {
	up := exec.CommandContext(ctx, filepath.Join(programs, "sallyport"), "up", "--no-session")
	if output, err := up.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("sallyport up: %w: %s", err, output)
	}
	root, err := testkit.SavedCredentials(ctx, "/var/lib/sallyport/up/data")
	if err != nil {
		return nil, err
	}
	m := &machine{Clients: testkit.NewClients("http://127.0.0.1:7474", root), port: "2222"}
	out, err := m.EC2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
	if err != nil {
		return nil, err
	}
	m.instance = *out.Reservations[0].Instances[0].InstanceId
	return m, nil
}

func (m *machine) down() { exec.Command(filepath.Join(programs, "sallyport"), "down").Run() }

// stopAgent ends the machine's agent.
func (m *machine) stopAgent(ctx context.Context) error {
	ran, err := enroll.StopAgent(ctx, hostDirectory)
	if err == nil && !ran {
		err = errors.New("no agent runs")
	}
	return err
}

// startPlainSSHD starts the private sshd once more, on another port and without the keys helper.
func (m *machine) startPlainSSHD() (port string, stop func(), err error) {
	const plainPort = "2223"
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-f", "/var/lib/sallyport/up/sshd/sshd_config", "-p", plainPort,
		"-o", "PidFile=none", "-o", "AuthorizedKeysCommand=none")
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	for range 1000 {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", plainPort))
		if err == nil {
			conn.Close()
			return plainPort, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("an sshd without the keys helper does not start")
}

// key is a key pair whose private half is in a file.
type key struct{ file, public, fingerprint string }

func (m *machine) newKey(name string) (key, error) {
	pair, err := sshkey.Generate(rand.Reader)
	if err != nil {
		return key{}, err
	}
	private, err := pair.PrivatePEM(name)
	if err != nil {
		return key{}, err
	}
	k := key{file: filepath.Join(os.TempDir(), name), public: pair.Public.Line, fingerprint: pair.Public.Fingerprint()}
	return k, os.WriteFile(k.file, private, 0o600)
}

func (m *machine) push(ctx context.Context, k key) error {
	_, err := m.EIC.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{
		InstanceId: &m.instance, InstanceOSUser: aws.String("root"), SSHPublicKey: &k.public,
	})
	return err
}
