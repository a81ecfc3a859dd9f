package host

import (
	"cmp"
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
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// The back-off between attempts to connect doubles from the first to the last.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 15 * time.Second
)

// reportInterval is how often the machine is looked at for something new to report.
const reportInterval = time.Minute

// dialTimeout bounds one attempt to connect, up to the control plane's Welcome.
const dialTimeout = 15 * time.Second

// ErrDismissed says that the control plane has ended the enrollment.
var ErrDismissed = errors.New("host: the control plane has un-enrolled this machine")

// errDuplicate says that the control plane takes another machine for the one that this enrollment is of.
var errDuplicate = errors.New("another machine uses this machine's identity, and the control plane knows that one. " +
	"If this machine is the copy, run `sallyport-host unenroll` here and enroll it with a token of its own; " +
	"if the other is, do so there")

// errReplaced says that another agent with this machine's key has taken the link over.
var errReplaced = errors.New("another agent with this machine's key has connected")

// Holder holds the grants that come over a link. *Grants is one. Its methods are called concurrently.
type Holder interface {
	Replace(grants []hostproto.Grant)
	Add(ctx context.Context, grant hostproto.Grant) hostproto.Ack
	Revoke(requestID string)
}

// Outbox keeps releases until the control plane has them. *Spool is one. Its methods are called concurrently.
type Outbox interface {
	// Unsent returns the oldest releases that are still kept, at most limit.
	Unsent(limit int) []hostproto.Release
	// Sent forgets a release.
	Sent(eventID string)
	// Ready receives when there may be more to send, once for any number of reasons.
	Ready() <-chan struct{}
}

// Link is an agent's end of the link: all that it needs beside the network is handed in, so that a test can
// have a thousand. Every field must be set, but Outbox, Changed and Again may be nil.
type Link struct {
	Server     string                      // https://HOST:PORT
	InstanceID string                      // whom the agent believes to be
	TLS        func() (*tls.Config, error) // makes the configuration of one connection: ca.ClientTLS
	Clock      *Clock
	Holder     Holder
	Outbox     Outbox
	Report     func(ctx context.Context) hostproto.Report
	Again      <-chan struct{} // receives when there may be something new to report
	Random     io.Reader       // spreads the attempts of many agents; must be safe for concurrent use if it is shared
	Log        *slog.Logger
	Changed    func(err error) // told nil when the link is up, and why it is not; may be nil
}

// Run keeps the link up until the context is done, and then returns its error; or ErrDismissed.
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

// once connects and stays until the link ends. It tells whether the control plane took the agent in.
func (l *Link) once(ctx context.Context) (welcomed bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ws, err := l.dial(ctx)
	if err != nil {
		return false, err
	}
	session, stream, err := hostproto.Dialed(ws)
	if err != nil {
		return false, err
	}
	c := &connection{Link: l, stream: stream, end: end, sent: make(map[uint64]string), adding: make(chan struct{}, 32)}
	defer c.work.Wait()
	defer session.Close()
	defer end(nil)
	context.AfterFunc(ctx, func() { session.Close() })
	if err := c.greet(ctx); err != nil {
		return false, err
	}
	l.Log.Info("linked", "server", l.Server)
	l.changed(nil)
	c.work.Go(func() { end(c.talk(ctx)) }) // ends listen too
	return true, c.listen(ctx)
}

func (l *Link) dial(ctx context.Context) (*websocket.Conn, error) {
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
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ws, response, err := websocket.Dial(ctx, l.Server+hostproto.LinkPath, &websocket.DialOptions{
		HTTPClient: client,
		HTTPHeader: http.Header{hostproto.InstanceHeader: {l.InstanceID}},
	})
	if err == nil {
		return ws, nil
	}
	if response == nil || response.StatusCode == http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if response.StatusCode == http.StatusGone {
		return nil, ErrDismissed
	}
	return nil, fmt.Errorf("the control plane refuses the link: %s", hostproto.ReadRefusal(response))
}

// connection is a Link while it is up.
type connection struct {
	*Link
	stream *hostproto.Stream
	end    context.CancelCauseFunc // ends the link, and says why
	work   sync.WaitGroup          // all goroutines of the connection
	adding chan struct{}           // bounds how many grants are looked at in parallel

	mu        sync.Mutex
	lastID    uint64
	sent      map[uint64]string // by message id: the event ids of releases that are not acknowledged
	pinging   uint64            // id of the last Ping
	pinged    time.Duration     // the uptime at which it was sent
	told      *hostproto.Report // the last report; nil if the control plane did not take it
	reporting uint64            // id of the message it was told in
}

// greet says hello and takes in the welcome.
func (c *connection) greet(ctx context.Context) error {
	report := c.Report(ctx)
	id, _ := c.tell(&report)
	sent := c.Clock.Uptime()
	err := c.stream.Send(hostproto.Message{ID: id, Hello: &hostproto.Hello{Version: hostproto.Version, Report: report}})
	if err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	m, err := c.stream.Receive(dialTimeout)
	switch {
	case err != nil:
		return fmt.Errorf("wait for the welcome: %w", err)
	case m.Dismiss != nil:
		return ErrDismissed
	case m.Bye != nil:
		return byeError(m.Bye)
	case m.Welcome == nil || m.Clocks == nil:
		return errors.New("the control plane did not begin with a welcome and its clocks")
	case m.Welcome.Version < 1 || m.Welcome.Version > hostproto.Version:
		return fmt.Errorf("the control plane speaks version %d of the protocol; this agent speaks up to %d: update it", m.Welcome.Version, hostproto.Version)
	}
	c.Clock.Start(*m.Clocks, sent, c.Clock.Uptime())
	c.Holder.Replace(m.Welcome.Grants)
	return nil
}

// listen takes in messages until the link ends.
func (c *connection) listen(ctx context.Context) error {
	for {
		m, err := c.stream.Receive(hostproto.AgentSilence)
		if err != nil {
			return fmt.Errorf("the link was lost: %w", cmp.Or(context.Cause(ctx), err)) // what ended it, if we did
		}
		switch {
		case m.Grant != nil:
			if m.Clocks != nil {
				c.Clock.Told(*m.Clocks)
			}
			c.add(ctx, m.ID, *m.Grant)
		case m.Revoke != nil:
			c.Holder.Revoke(m.Revoke.RequestID)
			c.ack(m.ID, hostproto.Ack{})
		case m.Ping != nil:
			c.ack(m.ID, hostproto.Ack{})
		case m.Pong != nil:
			c.pong(m)
		case m.Ack != nil:
			c.acked(m.ID, *m.Ack)
		case m.Dismiss != nil:
			c.ack(m.ID, hostproto.Ack{})
			return ErrDismissed
		case m.Bye != nil:
			return byeError(m.Bye)
		}
	}
}

// add holds a grant and acknowledges it. A user whom only a slow directory knows must not hold up the others.
func (c *connection) add(ctx context.Context, id uint64, grant hostproto.Grant) {
	select {
	case c.adding <- struct{}{}:
	case <-ctx.Done():
		return
	}
	c.work.Go(func() {
		defer func() { <-c.adding }()
		c.ack(id, c.Holder.Add(ctx, grant))
	})
}

func (c *connection) ack(id uint64, ack hostproto.Ack) {
	if id == 0 {
		return
	}
	if err := c.stream.Send(hostproto.Message{ID: id, Ack: &ack}); err != nil {
		c.end(err)
	}
}

// talk sends what the agent says by itself until the context is done or the link fails, and then says why.
func (c *connection) talk(ctx context.Context) error {
	ping := time.NewTicker(hostproto.PingInterval)
	defer ping.Stop()
	report := time.NewTicker(reportInterval)
	defer report.Stop()
	var ready <-chan struct{}
	if c.Outbox != nil {
		ready = c.Outbox.Ready()
	}
	err := errors.Join(c.ping(), c.sendReleases()) // the welcome may have taken its time: measure the clocks at once
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-ping.C:
			err = errors.Join(c.ping(), c.sendReleases()) // those the control plane could not take before
		case <-report.C:
			err = c.report(ctx)
		case <-c.Again:
			err = c.report(ctx)
		case <-ready:
			err = c.sendReleases()
		}
	}
	return err
}

func (c *connection) ping() error {
	c.mu.Lock()
	c.lastID++
	id := c.lastID
	c.pinging, c.pinged = id, c.Clock.Uptime()
	c.mu.Unlock()
	return c.stream.Send(hostproto.Message{ID: id, Ping: &hostproto.Ping{}})
}

// pong takes in the answer to the last ping. An answer to an earlier one is late, and would measure nothing.
func (c *connection) pong(m hostproto.Message) {
	c.mu.Lock()
	id, sent := c.pinging, c.pinged
	c.mu.Unlock()
	if m.ID == id && m.Clocks != nil {
		c.Clock.Set(*m.Clocks, sent, c.Clock.Uptime())
	}
}

func (c *connection) report(ctx context.Context) error {
	report := c.Report(ctx)
	id, fresh := c.tell(&report)
	if !fresh {
		return nil
	}
	return c.stream.Send(hostproto.Message{ID: id, Report: &report})
}

// tell gives a message id to the report, unless the control plane was told the same.
func (c *connection) tell(report *hostproto.Report) (id uint64, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told != nil && reflect.DeepEqual(report, c.told) {
		return 0, false
	}
	c.lastID++
	c.told, c.reporting = report, c.lastID
	return c.lastID, true
}

// sendReleases sends the oldest releases, so many that no more than MaxReleases are not acknowledged.
func (c *connection) sendReleases() error {
	if c.Outbox == nil {
		return nil
	}
	for _, release := range c.Outbox.Unsent(hostproto.MaxReleases) {
		id, fresh := c.track(release.EventID)
		if !fresh {
			continue
		}
		if err := c.stream.Send(hostproto.Message{ID: id, Release: &release}); err != nil {
			return err
		}
	}
	return nil
}

// track gives a message id to the release, unless it is under way already or too many are.
func (c *connection) track(eventID string) (id uint64, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) >= hostproto.MaxReleases {
		return 0, false
	}
	for _, under := range c.sent {
		if under == eventID {
			return 0, false
		}
	}
	c.lastID++
	c.sent[c.lastID] = eventID
	return c.lastID, true
}

// acked takes in an answer. A release that failed is sent again later, and so is a report, at the next look.
func (c *connection) acked(id uint64, ack hostproto.Ack) {
	c.mu.Lock()
	eventID, release := c.sent[id]
	delete(c.sent, id)
	if id == c.reporting && ack.Code != "" {
		c.told = nil
	}
	c.mu.Unlock()
	switch {
	case ack.Code != "":
		c.Log.Warn("the control plane refuses a message", "code", ack.Code, "message", ack.Message)
	case release:
		c.Outbox.Sent(eventID)
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
