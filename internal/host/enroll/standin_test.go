package enroll_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

const (
	standInInstance = "i-0123456789abcdef0"
	standInRegion   = "on-prem-1"
)

// standIn acts as the control plane that a machine sees: it enrolls any machine that has a token it made, accepts the
// agent's link, pushes grants, and dismisses.
type standIn struct {
	authority *ca.Authority
	signers   *ca.Signers
	server    *http.Server
	url       string

	ahead atomic.Int64 // ahead of the machine's time of day, in nanoseconds

	mu       sync.Mutex
	tokens   map[string]bool // unused
	conn     *hostproto.Conn // the link of the agent that has reported
	linked   chan struct{}   // closed when conn is set
	released []hostproto.Release
	reported hostproto.Report // the agent's first report
}

func startStandIn(t *testing.T) *standIn {
	t.Helper()
	authority, err := ca.New("123456789012", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &standIn{authority: authority, tokens: map[string]bool{}, linked: make(chan struct{})}
	s.signers = authority.Signers("sallyport.internal", s.now)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	})
	mux.HandleFunc("POST "+hostproto.EnrollPath, s.enroll)
	mux.HandleFunc("GET "+hostproto.LinkPath, s.link)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + listener.Addr().String()
	s.server = &http.Server{Handler: mux}
	config := authority.ServerTLS([]string{"127.0.0.1"}, s.now)
	config.NextProtos = []string{"http/1.1"}
	go s.server.Serve(tls.NewListener(listener, config))
	t.Cleanup(s.stop)
	return s
}

func (s *standIn) stop() {
	s.server.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
}

// token makes an enrollment token.
func (s *standIn) token(t *testing.T) string {
	t.Helper()
	fingerprint, err := ca.Fingerprint(s.authority.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	token := hostproto.Token{Server: s.url, Fingerprint: fingerprint, ID: "ht-1", Secret: secret}
	text, err := hostproto.FormatToken(token)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[text] = true
	return text
}

func (s *standIn) enroll(w http.ResponseWriter, r *http.Request) {
	var request hostproto.Enroll
	_, hasKey := ca.ClientKey(r.TLS)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || !hasKey || !s.tokens[request.Token] {
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(hostproto.Refusal{Message: "The token is not valid."})
		return
	}
	delete(s.tokens, request.Token)
	json.NewEncoder(w).Encode(hostproto.Enrolled{
		InstanceID: standInInstance, Account: "123456789012", Region: standInRegion, Zone: standInRegion + "a",
		Authority: s.authority.Certificate().Raw,
	})
}

func (s *standIn) link(w http.ResponseWriter, r *http.Request) {
	conn, err := hostproto.Accept(w, r)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		m, err := conn.Receive(10 * time.Minute)
		if err != nil {
			return
		}
		answer := hostproto.Message{ID: m.ID, Ack: &hostproto.Ack{}}
		s.mu.Lock()
		switch {
		case m.Hello != nil:
			answer = hostproto.Message{Welcome: &hostproto.Welcome{}, Clocks: s.clocks()}
		case m.Ping != nil:
			answer.Clocks = s.clocks()
		case m.Release != nil:
			s.released = append(s.released, *m.Release)
		case m.Report != nil && s.conn != conn: // the first report over this link
			s.conn, s.reported = conn, *m.Report
			select {
			case <-s.linked:
			default:
				close(s.linked)
			}
		}
		s.mu.Unlock()
		if conn.Send(r.Context(), answer) != nil {
			return
		}
	}
}

// relinked calls interrupt, which ends the link, and returns when the agent has linked again.
func (s *standIn) relinked(t *testing.T, interrupt func()) {
	t.Helper()
	now := func() *hostproto.Conn {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.conn
	}
	before := now()
	interrupt()
	wait.For(t, "the agent to come back", func() bool { return now() != before })
}

// hostKeys returns the host keys that the agent reported when it linked.
func (s *standIn) hostKeys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reported.HostKeys
}

// push grants a key for a minute and returns once the agent has it.
func (s *standIn) push(t *testing.T, user string, key ssh.PublicKey) {
	t.Helper()
	if ack := s.grant(t, user, key); ack.Code != "" {
		t.Fatalf("the agent refuses the grant: %s %s", ack.Code, ack.Message)
	}
}

// grant grants a key for a minute and returns the agent's answer.
func (s *standIn) grant(t *testing.T, user string, key ssh.PublicKey) hostproto.Ack {
	t.Helper()
	statement := keyblob.Statement{
		Expires: s.now().Add(time.Minute), InstanceID: standInInstance, OSUser: user, RequestID: "request-1",
		Caller: "arn:aws:iam::123456789012:user/test", PublicKey: key.Type() + " " + base64Key(key),
	}
	signer, err := s.signers.Signer(standInRegion)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := keyblob.Sign(statement, signer)
	if err != nil {
		t.Fatal(err)
	}
	until := clock.Uptime() + keyblob.Lifetime
	grant := hostproto.Grant{RequestID: statement.RequestID, OSUser: user, Blob: blob, Until: until}
	return s.call(t, hostproto.Message{Grant: &grant, Clocks: s.clocks()})
}

// now returns the control plane's time of day.
func (s *standIn) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func (s *standIn) clocks() *hostproto.Clocks {
	return &hostproto.Clocks{Time: s.now(), Uptime: clock.Uptime()}
}

// dismiss ends the enrollment. The agent may close the link before Send has seen that all was sent.
func (s *standIn) dismiss() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	_ = conn.Send(context.Background(), hostproto.Message{ID: 99, Dismiss: &hostproto.Dismiss{}})
}

func (s *standIn) call(t *testing.T, m hostproto.Message) hostproto.Ack {
	t.Helper()
	select {
	case <-s.linked:
	case <-time.After(wait.Patience):
		t.Fatal("no agent is linked")
	}
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
	defer cancel()
	answer, err := conn.Call(ctx, m)
	if err != nil {
		t.Fatalf("the agent does not acknowledge: %v", err)
	}
	return *answer.Ack
}
