package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/daemon"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/enroll"
)

// The host that up enrolls.
const (
	upHostName  = "private-sshd"
	upLoginUser = "root"
	upKeysUser  = "nobody" // every machine has this user, so none must be made
)

// server returns the private SSH server in its present state.
func (u *up) server() privateSSHD {
	return privateSSHD{directory: u.directory.sshd(), port: u.state.SSHPort, program: sshdProgram}
}

// startSSHD starts the private SSH server unless it runs. It uses the previous port if that is free.
func (u *up) startSSHD(context.Context) (string, error) {
	if _, ok := u.server().daemon().Running(); ok {
		return fmt.Sprintf("runs already on %s:%d", loopback, u.state.SSHPort), makeRunSSHD()
	}
	port, err := freePort(u.state.SSHPort, firstSSHPort)
	if err != nil {
		return "", err
	}
	u.state.SSHPort = port
	if err := u.directory.writeState(u.state); err != nil {
		return "", err
	}
	if err := u.server().prepare(); err != nil {
		return "", err
	}
	return fmt.Sprintf("started on %s:%d", loopback, port), u.server().start()
}

// enrollHost enrolls the private server. If it is enrolled already, it starts its agent again.
func (u *up) enrollHost(ctx context.Context) (string, error) {
	config, err := enroll.Enrolled(u.directory.host())
	if errors.Is(err, host.ErrNotEnrolled) {
		return u.enrollNow(ctx)
	}
	if err != nil {
		return "", err
	}
	u.instance = config.InstanceID
	known, err := describeHosts(ctx, u.client())
	if err != nil {
		return "", err
	}
	ours := slices.IndexFunc(known, func(h sallyport.Host) bool {
		return h.InstanceId == config.InstanceID && h.State != "terminated"
	})
	if ours < 0 {
		// It was terminated while its agent was down, or the data of its control plane is gone.
		u.steps.detail(config.InstanceID + " is not known any more: enrolling anew")
		if err := enroll.Unenroll(ctx, u.directory.host(), nil); err != nil {
			return "", err
		}
		return u.enrollNow(ctx)
	}
	return u.resumeAgent(ctx, config)
}

// resumeAgent updates an enrollment to changed ports and programs.
func (u *up) resumeAgent(ctx context.Context, config host.Config) (string, error) {
	current := config
	current.Server, current.SSHPort = "https://"+u.address(), u.state.SSHPort
	upToDate, err := enroll.UpToDate(u.directory.host(), u.directory.hostProgram())
	if err != nil {
		return "", err
	}
	if !upToDate || current.Server != config.Server || current.SSHPort != config.SSHPort {
		if _, err := enroll.StopAgent(ctx, u.directory.host()); err != nil {
			return "", err
		}
		if err := current.Save(u.directory.host()); err != nil {
			return "", err
		}
	}
	note := config.InstanceID + ", enrolled before"
	if upToDate {
		return note, enroll.StartAgent(u.directory.host())
	}
	_, err = enroll.Repair(ctx, enroll.Options{
		Directory: u.directory.host(), Program: u.directory.hostProgram(), Now: time.Now, Random: rand.Reader,
	}, u.showEnrollment)
	return note + ", by other programs", err
}

// enrollNow makes a token as the root user and enrolls with it. The agent becomes a process of its own.
func (u *up) enrollNow(ctx context.Context) (string, error) {
	in := &sallyport.CreateHostTokenInput{Name: upHostName}
	token, err := sallyport.NewFromConfig(u.client()).CreateHostToken(ctx, in)
	if err != nil {
		return "", err
	}
	result, err := enroll.Run(ctx, enroll.Options{
		Token: token.Token, Directory: u.directory.host(), Program: u.directory.hostProgram(),
		SSHDConfig: u.server().config(), PIDFile: u.server().pidFile(), Port: u.state.SSHPort,
		Addresses: []netip.Addr{netip.MustParseAddr(loopback)}, KeysUser: upKeysUser,
		Service: enroll.ServiceDetached, Now: time.Now, Random: rand.Reader,
	}, u.showEnrollment)
	if err != nil {
		return "", err
	}
	u.instance = result.InstanceID
	return result.InstanceID + ", enrolled", u.forgetEarlier(ctx)
}

// forgetEarlier terminates the instances of earlier enrollments of this server that were interrupted or whose files are
// gone: they have the same name.
func (u *up) forgetEarlier(ctx context.Context) error {
	client := ec2.NewFromConfig(u.client())
	out, err := client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{
		{Name: aws.String("tag:Name"), Values: []string{upHostName}},
		{Name: aws.String("private-ip-address"), Values: []string{loopback}},
		{Name: aws.String("instance-state-name"), Values: []string{string(types.InstanceStateNameStopped)}},
	}})
	if err != nil {
		return err
	}
	var ids []string
	for _, reservation := range out.Reservations {
		for _, instance := range reservation.Instances {
			ids = append(ids, aws.ToString(instance.InstanceId))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err = client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
	return err
}

func (u *up) showEnrollment(step enroll.Step) {
	switch step.Phase {
	case enroll.Done:
		u.steps.detail("ok   " + step.Text)
	case enroll.Failed:
		u.steps.detail("fail " + step.Text + ": " + step.Error)
	case enroll.Warned, enroll.Noted, enroll.Undone:
		u.steps.detail(string(step.Phase) + ": " + step.Text)
	}
}

// awaitLink waits until the host is reported as linked.
func (u *up) awaitLink(ctx context.Context) (string, error) {
	err := await(ctx, func() error {
		found, err := describeHost(ctx, u.client(), u.instance)
		if err == nil && !found.Linked {
			err = errors.New("the agent has not connected")
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, daemon.Tail(enroll.AgentLog(u.directory.host())))
	}
	return "the agent is connected", nil
}

// client returns the configuration of a client with the root user's credentials, whatever the environment says.
func (u *up) client() aws.Config {
	return aws.Config{
		Region: u.profile.Region, BaseEndpoint: aws.String(u.endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(u.profile.AccessKeyID, u.profile.Secret, ""),
	}
}
