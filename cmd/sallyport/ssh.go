package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
)

type sshCommand struct {
	connection
	User string   `short:"l" help:"User to log in as (default: see below)."`
	Args []string `arg:"" name:"instance" passthrough:"partial" help:"[USER@]INSTANCE, ssh options, and the command."`
}

// Help returns the text of sallyport ssh --help.
func (sshCommand) Help() string {
	return `INSTANCE is an id, a Name tag, or the beginning of either if it fits just one.

  sallyport ssh web-1                            a shell
  sallyport ssh web-1 -l deploy -- uptime        one command; its exit status is passed on
  sallyport ssh deploy@web-1 -L 8080:localhost:80 -N

A fresh key, of a type that the machine accepts, is made in memory, pushed by ec2-instance-connect:SendSSHPublicKey,
and offered to the system's ssh. It lets you in for 60 seconds and is never on disk. The machine's host keys are those
its agent reported, so ssh asks nothing and refuses a changed key. Options after INSTANCE are ssh's own; -A forwards
your own agent. As with ssh, exit status 255 says that there was no session.

Without --user it logs in as you if the machine has a user of your name, else as the user its distribution is shipped
with (admin, debian, ubuntu, ec2-user, …), else as the first that is not root, else as root. On a real AWS account,
which reports neither users nor host keys, the user is ec2-user and ssh's own known_hosts decides.`
}

// Often only some of a machine's addresses can be reached from here, and the others mostly do not answer at all.
const (
	knockTime = 3 * time.Second        // how long each has to accept a connection
	headStart = 250 * time.Millisecond // between one attempt and the next, as RFC 8305, section 5, recommends
)

// failedStatus is ssh's exit status for errors of its own, as opposed to the command's.
const failedStatus = 255

func (c sshCommand) Run(ctx context.Context, term terminal) error {
	err := c.open(ctx, term)
	var status exitStatus
	if err == nil || errors.As(err, &status) {
		return err
	}
	return failure{err, failedStatus}
}

// open opens the session and returns when it has ended.
func (c sshCommand) open(ctx context.Context, term terminal) error {
	request, err := parseSSH(c.Args)
	if err != nil {
		return err
	}
	if request.user == "" {
		request.user = c.User
	}
	if _, err := exec.LookPath("ssh"); err != nil {
		return errors.New("the program ssh is not installed (Debian: apt-get install openssh-client)")
	}
	config, err := c.config(ctx)
	if err != nil {
		return err
	}
	instances, err := describeInstances(ctx, config)
	if err != nil {
		return err
	}
	instance, err := resolve(instances, request.instance)
	if err != nil {
		return err
	}
	target, err := findTarget(ctx, config, instance, request)
	if err != nil {
		return err
	}
	session, err := newSSHSession(target)
	if err != nil {
		return err
	}
	defer session.close()
	if err := push(ctx, config, instance, target.user, session.publicKey); err != nil {
		return err
	}
	return runSSH(sshArguments(request, target, session.directory, os.Getenv("SSH_AUTH_SOCK")), term)
}

// findTarget determines user, address and port.
func findTarget(
	ctx context.Context, config aws.Config, instance types.Instance, request sshRequest,
) (sshTarget, error) {
	id := aws.ToString(instance.InstanceId)
	if state := stateOf(instance); state != types.InstanceStateNameRunning {
		text := list([]types.Instance{instance}) + " does not run"
		if state == types.InstanceStateNameStopped {
			text += ": its agent is not connected to the control plane. " +
				"Is the machine up, and does `sallyport-host agent` run on it?"
		}
		return sshTarget{}, errors.New(text)
	}
	host, err := describeHost(ctx, config, id)
	if err != nil {
		return sshTarget{}, err
	}
	target := sshTarget{
		instanceID: id, user: request.user, port: request.port, hostKeys: host.HostKeys, keyTypes: host.KeyTypes,
	}
	if target.user == "" {
		target.user = chooseUser(host.Users, currentUser())
	}
	if target.port == "" {
		target.port = "22"
		if host.SshPort != 0 {
			target.port = strconv.Itoa(int(host.SshPort))
		}
	}
	addresses := host.Addresses
	for _, address := range []*string{instance.PublicIpAddress, instance.PrivateIpAddress, instance.Ipv6Address} {
		if len(host.Addresses) == 0 && aws.ToString(address) != "" {
			addresses = append(addresses, *address)
		}
	}
	target.address, err = reachable(ctx, addresses, target.port)
	if err != nil {
		return sshTarget{}, fmt.Errorf("%s: %w", list([]types.Instance{instance}), err)
	}
	return target, nil
}

func currentUser() string {
	me, err := user.Current()
	if err != nil {
		return os.Getenv("USER")
	}
	return me.Username
}

// reachable returns the first address that accepts a connection. One that does not answer does not delay the next. A
// single address is not tried: ssh's own error will be better.
func reachable(ctx context.Context, addresses []string, port string) (string, error) {
	switch len(addresses) {
	case 0:
		return "", errors.New("it has no address: its agent found none to report. Enroll it with `sallyport-host enroll " +
			"--address IP`, or push a key with the aws command and use ssh yourself")
	case 1:
		return addresses[0], nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the attempts still in progress
	answers := make(chan string, len(addresses))
	for i, address := range addresses {
		go func() { answers <- knock(ctx, time.Duration(i)*headStart, address, port) }()
	}
	for range addresses {
		if address := <-answers; address != "" {
			return address, nil
		}
	}
	return "", fmt.Errorf("none of its addresses %v accepts connections on port %s from here", addresses, port)
}

// knock waits, then returns the address if it accepts a connection, and "" otherwise.
func knock(ctx context.Context, wait time.Duration, address, port string) string {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return ""
	}
	conn, err := (&net.Dialer{Timeout: knockTime}).DialContext(ctx, "tcp", net.JoinHostPort(address, port))
	if err != nil {
		return ""
	}
	conn.Close()
	return address
}

// push asks the API to let the key in.
func push(ctx context.Context, config aws.Config, instance types.Instance, user, key string) error {
	input := &ec2instanceconnect.SendSSHPublicKeyInput{
		InstanceId: instance.InstanceId, InstanceOSUser: aws.String(user), SSHPublicKey: aws.String(key),
	}
	if instance.Placement != nil {
		input.AvailabilityZone = instance.Placement.AvailabilityZone
	}
	_, err := ec2instanceconnect.NewFromConfig(config).SendSSHPublicKey(ctx, input)
	return err
}

// runSSH runs the system's ssh on our terminal and returns its exit status. Signals from the terminal reach ssh
// directly. Signals that only this process receives are passed on.
func runSSH(args []string, term terminal) error {
	command := exec.Command("ssh", args...)
	command.Stdin, command.Stdout, command.Stderr = term.in, term.out, term.err
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := command.Start(); err != nil {
		return fmt.Errorf("start ssh: %w", err)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTERM || s == syscall.SIGHUP {
					command.Process.Signal(s)
				}
			case <-done:
				return
			}
		}
	}()
	err := command.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitStatus(128 + int(status.Signal()))
	}
	return exitStatus(exit.ExitCode())
}
