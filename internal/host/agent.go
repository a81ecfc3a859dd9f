package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/daemon"
	"github.com/sallyport/sallyport/internal/host/keys"
)

// Agent is the machine's side of one enrollment: the link, the grants, the socket and the spool.
type Agent struct {
	Directory string
	Version   string // reported to the control plane
	Now       func() time.Time
	Random    io.Reader // must be safe for concurrent use
	Log       *slog.Logger
	// Dismissed removes the enrollment from the machine. It is called after the agent has stopped serving.
	Dismissed func(ctx context.Context) error
}

// Run serves until the context is done, and then returns its error, or until the control plane ends the enrollment, and
// then returns what Dismissed returns.
func (a Agent) Run(ctx context.Context) error {
	config, err := Load(a.Directory)
	if err != nil {
		return err
	}
	root, err := LoadAuthority(a.Directory)
	if err != nil {
		return err
	}
	key, err := LoadKey(a.Directory)
	if err != nil {
		return err
	}
	pin, err := ca.Fingerprint(root.Raw)
	if err != nil {
		return err
	}
	certificate, err := ca.SelfSigned(key, config.InstanceID)
	if err != nil {
		return err
	}
	owner, err := userID(config.KeysUser)
	if err != nil {
		return err
	}
	serverClock := NewClock(clock.Uptime)
	watch := NewWatch(config, a.Directory, a.Log)
	listener, err := ListenSocket(config.Socket, owner)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := recordSelf(ProcessRecord(config.Socket)); err != nil {
		return err
	}
	// Not before the socket is ours: another agent that serves it may have the spool open.
	spool, err := OpenSpool(config.Spool)
	if err != nil {
		return fmt.Errorf("open the spool of releases: %w", err)
	}
	defer spool.Close()
	if err := spool.Room(""); err != nil {
		a.Log.Error("no pushed key can be used: that it is used could not be recorded", "spool", config.Spool, "error", err)
	}
	grants := NewGrants(root, config.InstanceID, serverClock, NewMachine(watch, a.Now, a.Log), spool.Room, a.Log)
	linked := &linkStatus{now: a.Now}
	status := func() AgentStatus {
		problems := watch.Look(ctx).problems()
		if err := spool.Room(""); err != nil {
			problems = append(problems, fmt.Sprintf("No pushed key can be used, as that could not be recorded: %v.", err))
		}
		return AgentStatus{Link: linked.get(), Problems: problems}
	}
	desk := Desk{
		Grants: grants, Recorder: spool, Askers: []uint32{uint32(os.Geteuid()), uint32(owner)}, Random: a.Random,
		Log: a.Log, Syslog: func(line string) { keys.Syslog("sallyport-host", line) }, Status: status,
	}
	reporter, again := NewReporter(config, a.Version, watch), make(chan struct{}, 1)
	link := Link{
		Server: config.Server, InstanceID: config.InstanceID,
		TLS:   func() (*tls.Config, error) { return ca.ClientTLS(pin, certificate, a.Random) },
		Clock: serverClock, Holder: grants, Outbox: spool, Report: reporter.Report,
		Again: again, Random: a.Random, Log: a.Log,
		Changed: linked.set,
	}
	err = together(ctx, link.Run,
		func(ctx context.Context) error { return desk.Serve(ctx, listener) },
		func(ctx context.Context) error { return keepSocket(ctx, config.Socket) },
		func(ctx context.Context) error { return watch.Run(ctx, again) })
	if errors.Is(err, ErrDismissed) {
		a.Log.Info("the control plane has un-enrolled this machine", "instance", config.InstanceID)
		return a.Dismissed(context.WithoutCancel(ctx))
	}
	return err
}

// recordSelf records this process in the file, so that it can be stopped however it was started.
func recordSelf(path string) error {
	self, err := daemon.Identify(os.Getpid())
	if err != nil {
		return fmt.Errorf("identify the agent's process: %w", err)
	}
	return self.Record(path)
}

// together runs the functions until one returns, stops the others, and returns what the first returned.
func together(ctx context.Context, functions ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	results := make(chan error, len(functions))
	for _, f := range functions {
		go func() { results <- f(ctx) }()
	}
	first := <-results
	stop()
	for range len(functions) - 1 {
		<-results
	}
	return first
}

// userID returns the id of the user with the name, or this process's for an empty name.
func userID(name string) (int, error) {
	if name == "" {
		return os.Geteuid(), nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("find the keys helper's user: %w", err)
	}
	return strconv.Atoi(found.Uid)
}
