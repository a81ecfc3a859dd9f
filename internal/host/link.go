package host

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// Bounds on the delay between attempts to connect, which doubles each time.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 15 * time.Second
)

// reportInterval is how often the agent checks whether its report has changed.
const reportInterval = time.Minute

// releaseInterval is the delay before a release that the control plane could not record is sent again.
const releaseInterval = 7 * time.Second

// dialTimeout bounds one attempt to connect, up to the control plane's Welcome.
const dialTimeout = 15 * time.Second

// ErrDismissed reports that the control plane has ended the enrollment.
var ErrDismissed = errors.New("host: the control plane has un-enrolled this machine")

// errDuplicate reports that the control plane identifies another machine with this enrollment.
var errDuplicate = errors.New("another machine uses this machine's identity, and the control plane knows that one. " +
	"If this machine is the copy, run `sallyport-host unenroll` here and enroll it with a token of its own; " +
	"if the other is, do so there")

// errReplaced reports that another agent with this machine's key has taken over the link.
var errReplaced = errors.New("another agent with this machine's key has connected")

// Holder keeps the grants that come over a link. *Grants implements it. Its methods are called concurrently.
type Holder interface {
	Replace(grants []hostproto.Grant)
	Add(ctx context.Context, grant hostproto.Grant) hostproto.Ack
	Revoke(requestID string)
}

// Outbox keeps releases until the control plane has recorded them. *Spool implements it. Its methods are called
// concurrently.
type Outbox interface {
	// Unsent returns up to limit releases, the oldest first.
	Unsent(limit int) []hostproto.Release
	// Sent removes a release.
	Sent(eventID string)
	// Ready returns a channel that receives a value when there may be more releases to send.
	Ready() <-chan struct{}
}

// Link is an agent's end of the link. Everything that it uses besides the network is a field, so that a test can run a
// thousand. Every field but Outbox, Changed and Again must be set.
type Link struct {
	Server     string                      // https://HOST:PORT
	InstanceID string                      // the instance that the agent believes it is
	TLS        func() (*tls.Config, error) // returns the configuration of one connection; see ca.ClientTLS
	Clock      *Clock
	Holder     Holder
	Outbox     Outbox
	Report     func(ctx context.Context) hostproto.Report
	Again      <-chan struct{} // receives when the report may have changed
	Random     io.Reader       // varies the delays; must be safe for concurrent use if it is shared
	Log        *slog.Logger
	Changed    func(err error) // called with nil when the link is up, and with the reason when it is not
}

// Run keeps the link up until the context is done, and then returns its error, or until the control plane ends the
// enrollment, and then returns ErrDismissed.
func (l *Link) Run(ctx context.Context) error {
	backoff := firstBackoff
	for {
		welcomed, err := l.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrDismissed):
			return err
		case errors.Is(err, errReplaced):
			backoff = lastBackoff
		case errors.Is(err, errDuplicate):
			backoff = hostproto.DuplicateRetry
		case welcomed:
			backoff = firstBackoff
		}
		l.changed(err)
		wait := l.jitter(backoff)
		l.Log.Warn("not linked", "server", l.Server, "error", err, "retry", wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

func (l *Link) changed(err error) {
	if l.Changed != nil {
		l.Changed(err)
	}
}

// jitter returns a random time between half of d and d.
func (l *Link) jitter(d time.Duration) time.Duration {
	var b [4]byte
	if _, err := io.ReadFull(l.Random, b[:]); err != nil {
		return d
	}
	return d/2 + time.Duration(float64(d/2)*float64(binary.BigEndian.Uint32(b[:]))/(1<<32))
}

// once connects and serves the link until it ends. It reports whether the control plane accepted the agent.
func (l *Link) once(ctx context.Context) (welcomed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := l.dial(ctx)
	if err != nil {
		return false, err
	}
	c := &connection{Link: l, conn: conn, adding: make(chan struct{}, 32)}
	defer c.work.Wait()
	defer conn.Close()
	defer cancel()
	context.AfterFunc(ctx, conn.Close)
	if err := c.greet(ctx); err != nil {
		return false, err
	}
	l.Log.Info("linked", "server", l.Server)
	l.changed(nil)
	// The welcome may have been slow, so the first ping measures the clocks at once.
	c.work.Go(func() { repeat(ctx, hostproto.PingInterval, nil, c.keepAlive) })
	c.work.Go(func() { repeat(ctx, reportInterval, l.Again, c.report) })
	if l.Outbox != nil {
		c.work.Go(func() { repeat(ctx, releaseInterval, l.Outbox.Ready(), c.release) })
	}
	return true, c.listen(ctx)
}

func (l *Link) dial(ctx context.Context) (*hostproto.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	config, err := l.TLS()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   config,
		DisableKeepAlives: true, // one connection, one link
	}
	client := &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	conn, response, err := hostproto.Dial(ctx, client, l.Server, l.InstanceID)
	switch {
	case err == nil:
		return conn, nil
	case response == nil || response.StatusCode == http.StatusSwitchingProtocols:
		return nil, fmt.Errorf("connect: %w", err)
	case response.StatusCode == http.StatusGone:
		return nil, ErrDismissed
	}
	return nil, fmt.Errorf("the control plane refuses the link: %s", hostproto.ReadRefusal(response))
}

// connection is a Link while it is up.
type connection struct {
	*Link
	conn   *hostproto.Conn
	work   sync.WaitGroup    // the connection's goroutines, without the one in listen
	adding chan struct{}     // bounds how many grants are judged in parallel
	told   *hostproto.Report // the last report that the control plane stored; nil if none
}

// greet sends the Hello and handles the Welcome.
func (c *connection) greet(ctx context.Context) error {
	report := c.Report(ctx)
	sent := c.Clock.Uptime()
	hello := hostproto.Hello{Hostname: report.Hostname, Version: report.Version, Machine: report.Machine}
	if err := c.conn.Send(ctx, hostproto.Message{Hello: &hello}); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	m, err := c.conn.Receive(dialTimeout)
	switch {
	case err != nil:
		return fmt.Errorf("wait for the welcome: %w", err)
	case m.Dismiss != nil:
		return ErrDismissed
	case m.Bye != nil:
		return byeError(m.Bye)
	case m.Welcome == nil || m.Clocks == nil:
		return errors.New("the control plane did not begin with a welcome and its clocks")
	}
	c.Clock.Start(*m.Clocks, sent, c.Clock.Uptime())
	c.Holder.Replace(m.Welcome.Grants)
	return nil
}

// listen handles messages until the link ends.
func (c *connection) listen(ctx context.Context) error {
	for {
		m, err := c.conn.Receive(hostproto.AgentSilence)
		if err != nil {
			return fmt.Errorf("the link was lost: %w", err)
		}
		switch {
		case m.Grant != nil:
			if m.Clocks != nil {
				c.Clock.Told(*m.Clocks)
			}
			c.add(ctx, m.ID, *m.Grant)
		case m.Revoke != nil:
			c.Holder.Revoke(m.Revoke.RequestID)
			c.ack(ctx, m.ID, hostproto.Ack{})
		case m.Ping != nil:
			c.ack(ctx, m.ID, hostproto.Ack{})
		case m.Dismiss != nil:
			c.ack(ctx, m.ID, hostproto.Ack{})
			return ErrDismissed
		case m.Bye != nil:
			return byeError(m.Bye)
		}
	}
}

// add adds a grant and acknowledges it, in a goroutine of its own: a user whom only a slow directory service knows must
// not delay other messages.
func (c *connection) add(ctx context.Context, id uint64, grant hostproto.Grant) {
	select {
	case c.adding <- struct{}{}:
	case <-ctx.Done():
		return
	}
	c.work.Go(func() {
		defer func() { <-c.adding }()
		c.ack(ctx, id, c.Holder.Add(ctx, grant))
	})
}

// ack acknowledges the message with the ID. It does nothing if the ID is 0.
func (c *connection) ack(ctx context.Context, id uint64, ack hostproto.Ack) {
	if id != 0 {
		c.conn.Send(ctx, hostproto.Message{ID: id, Ack: &ack}) // if it fails, listen fails too
	}
}

// tell sends a message and reports whether the control plane acknowledged it without an error.
func (c *connection) tell(ctx context.Context, m hostproto.Message) bool {
	answer, err := c.conn.Call(ctx, m)
	if err != nil {
		return false // listen fails too
	}
	if refusal := answer.Ack; refusal.Code != "" {
		c.Log.Warn("the control plane refuses a message", "code", refusal.Code, "message", refusal.Message)
		return false
	}
	return true
}

// repeat calls do at once, at each interval, and whenever asked receives, until the context is done.
func repeat(ctx context.Context, interval time.Duration, asked <-chan struct{}, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-asked:
		}
	}
}

// keepAlive sends a ping without waiting for its answer. While grants that are slow to judge keep listen busy, the
// control plane must still hear from the agent.
func (c *connection) keepAlive(ctx context.Context) {
	c.work.Go(func() { c.ping(ctx) })
}

// ping measures the control plane's clocks.
func (c *connection) ping(ctx context.Context) {
	sent := c.Clock.Uptime()
	answer, err := c.conn.Call(ctx, hostproto.Message{Ping: &hostproto.Ping{}})
	if err == nil && answer.Clocks != nil {
		c.Clock.Set(*answer.Clocks, sent, c.Clock.Uptime())
	}
}

// report sends the report, unless the control plane has already stored the same one.
func (c *connection) report(ctx context.Context) {
	report := c.Report(ctx)
	if c.told != nil && reflect.DeepEqual(report, *c.told) {
		return
	}
	if c.tell(ctx, hostproto.Message{Report: &report}) {
		c.told = &report
	}
}

// release sends the unsent releases, MaxReleases at a time, until there are none or one was not recorded.
func (c *connection) release(ctx context.Context) {
	for {
		var refused atomic.Bool
		var telling sync.WaitGroup
		unsent := c.Outbox.Unsent(hostproto.MaxReleases)
		for _, release := range unsent {
			telling.Go(func() {
				if c.tell(ctx, hostproto.Message{Release: &release}) {
					c.Outbox.Sent(release.EventID)
				} else {
					refused.Store(true)
				}
			})
		}
		telling.Wait()
		if len(unsent) == 0 || refused.Load() {
			return
		}
	}
}

func byeError(bye *hostproto.Bye) error {
	switch bye.Reason {
	case hostproto.ByeReplaced:
		return errReplaced
	case hostproto.ByeDuplicate:
		return errDuplicate
	}
	return fmt.Errorf("the control plane closes the link: %q", bye.Reason)
}
