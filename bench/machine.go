package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/sallyport/sallyport/internal/sshkey"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/debian"
)

// programs is where a machine finds ours.
const programs = "/opt/sallyport/bin"

// insideMachine runs one of the benchmarks below in a Debian of its own, so that nothing of this machine's sshd,
// users and files is touched, and reads back its rows.
func insideMachine(name string) func(context.Context, string) ([]row, error) {
	return func(ctx context.Context, bin string) ([]row, error) {
		files := map[string]string{}
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
	if output, err := exec.CommandContext(ctx, filepath.Join(programs, "sallyport"), "up", "--no-session").CombinedOutput(); err != nil {
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

// killControlPlane ends the control plane without a word to anybody.
func (m *machine) killControlPlane() error {
	output, err := exec.Command("pgrep", "--full", "sallyport serve").Output()
	if err != nil {
		return fmt.Errorf("find the control plane: %w", err)
	}
	for _, field := range bytes.Fields(output) {
		pid, err := strconv.Atoi(string(field))
		if err != nil {
			return err
		}
		process, err := os.FindProcess(pid)
		if err == nil {
			err = process.Kill()
		}
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	return nil
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
	_, err := m.EIC.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{InstanceId: &m.instance, InstanceOSUser: aws.String("root"), SSHPublicKey: &k.public})
	return err
}
