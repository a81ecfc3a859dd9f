package testkit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/enroll"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/sshkey"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/uuid"
)

// Host is a simulated machine: the real agent's link and grants, without sshd, files or root.
type Host struct {
	InstanceID string
	Grants     *host.Grants

	link    host.Link
	users   Users
	outbox  *outbox
	linked  chan struct{} // receives a value at every new link
	cancel  context.CancelFunc
	stopped chan struct{}
}

// Users are the OS users of a simulated machine.
type Users []string

// Judge implements host.Logins.
func (u Users) Judge(_ context.Context, name, _ string) hostproto.Ack {
	if !slices.Contains(u, name) {
		return hostproto.Ack{Code: hostproto.AckUnknownUser}
	}
	return hostproto.Ack{}
}

// Enroll enrolls a machine with a new token, as `sallyport-host enroll` does. The machine is not linked until Connect.
func Enroll(ctx context.Context, config aws.Config, name string, users ...string) (*Host, error) {
	made, err := sallyport.NewFromConfig(config).CreateHostToken(ctx, &sallyport.CreateHostTokenInput{Name: name})
	if err != nil {
		return nil, fmt.Errorf("make a host token: %w", err)
	}
	token, err := hostproto.ParseToken(made.Token)
	if err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := ca.SelfSigned(key, name)
	if err != nil {
		return nil, err
	}
	report, err := simulatedReport(name, users)
	if err != nil {
		return nil, err
	}
	plane, err := enroll.NewControlPlane(token, key, rand.Reader)
	if err != nil {
		return nil, err
	}
	enrolled, err := plane.Redeem(ctx, report)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(enrolled.Authority)
	if err != nil {
		return nil, err
	}
	serverClock, quiet := host.NewClock(clock.Uptime), slog.New(slog.DiscardHandler)
	h := &Host{
		InstanceID: enrolled.InstanceID, users: users,
		outbox: &outbox{ready: make(chan struct{}, 1)}, linked: make(chan struct{}, 1),
	}
	h.Grants = host.NewGrants(root, enrolled.InstanceID, serverClock, h.users, func(string) error { return nil }, quiet)
	h.link = host.Link{
		Server: token.Server, InstanceID: enrolled.InstanceID,
		TLS:   func() (*tls.Config, error) { return ca.ClientTLS(token.Fingerprint, certificate, rand.Reader) },
		Clock: serverClock, Holder: h.Grants, Outbox: h.outbox, Random: rand.Reader, Log: quiet,
		Report:  func(context.Context) hostproto.Report { return report },
		Changed: h.changed,
	}
	return h, nil
}

// simulatedReport returns a report of a machine with a host key of its own.
func simulatedReport(name string, users []string) (hostproto.Report, error) {
	key, err := sshkey.Generate(rand.Reader)
	if err != nil {
		return hostproto.Report{}, err
	}
	return hostproto.Report{
		Hostname: name, OS: "Debian GNU/Linux 12 (bookworm)",
		Architecture: "x86_64", Addresses: []string{"127.0.0.1"}, SSHPort: 22,
		HostKeys: []string{key.Public.Line}, Users: users, Version: "test",
	}, nil
}

// Connect brings the link up and returns when it is up. The link reconnects by itself until Disconnect.
func (h *Host) Connect(ctx context.Context) error {
	running, cancel := context.WithCancel(context.Background())
	h.cancel, h.stopped = cancel, make(chan struct{})
	go func() {
		defer close(h.stopped)
		h.link.Run(running)
	}()
	return h.AwaitLink(ctx)
}

// AwaitLink returns when a new link has come up since its last call.
func (h *Host) AwaitLink(ctx context.Context) error {
	select {
	case <-h.linked:
		return nil
	case <-h.stopped:
		return errors.New("the agent has ended")
	case <-ctx.Done():
		return fmt.Errorf("%s is not linked: %w", h.InstanceID, ctx.Err())
	}
}

// Disconnect ends the link; Connect makes a new one.
func (h *Host) Disconnect() {
	h.cancel()
	<-h.stopped
}

// Stopped returns a channel that is closed when the agent has ended, because of Disconnect or because the control plane
// un-enrolled it.
func (h *Host) Stopped() <-chan struct{} { return h.stopped }

// LinkAs requests a link as an agent of another protocol version would, and returns the control plane's answer.
func (h *Host) LinkAs(ctx context.Context, subprotocol string) (string, error) {
	config, err := h.link.TLS()
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.link.Server+hostproto.LinkPath, nil)
	if err != nil {
		return "", err
	}
	if subprotocol != "" {
		request.Header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return hostproto.ReadRefusal(response), nil
}

// Release reports a release, as the agent does when its keys helper hands a grant's key to sshd.
func (h *Host) Release(requestID, osUser string) {
	h.outbox.add(hostproto.Release{
		EventID: uuid.New(time.Now(), rand.Reader), RequestID: requestID, OSUser: osUser, Time: time.Now(),
	})
}

func (h *Host) changed(err error) {
	if err == nil {
		select {
		case h.linked <- struct{}{}:
		default:
		}
	}
}

// Host enrolls a simulated machine and connects it until the test ends.
func (s *System) Host(t testing.TB, name string, users ...string) *Host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
	defer cancel()
	h, err := Enroll(ctx, s.Clients(s.Root).Config, name, users...)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Disconnect)
	return h
}

// outbox keeps releases in memory.
type outbox struct {
	ready chan struct{}

	mu   sync.Mutex
	kept []hostproto.Release
}

func (o *outbox) add(r hostproto.Release) {
	o.mu.Lock()
	o.kept = append(o.kept, r)
	o.mu.Unlock()
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// Unsent implements host.Outbox.
func (o *outbox) Unsent(limit int) []hostproto.Release {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.kept[:min(limit, len(o.kept))])
}

// Sent implements host.Outbox.
func (o *outbox) Sent(eventID string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = slices.DeleteFunc(o.kept, func(r hostproto.Release) bool { return r.EventID == eventID })
}

// Ready implements host.Outbox.
func (o *outbox) Ready() <-chan struct{} { return o.ready }
