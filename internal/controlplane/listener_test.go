package controlplane

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// serveBoth starts a listener whose handler says whether a request came over TLS.
func serveBoth(t *testing.T) (address string, l *listener, roots *x509.CertPool) {
	t.Helper()
	authority, err := ca.New("123456789012", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = newListener(inner, authority.ServerTLS([]string{"127.0.0.1"}, time.Now))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "tls=%v", r.TLS != nil)
	})}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	roots = x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	return inner.Addr().String(), l, roots
}

func fetch(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestOnePortSpeaksBoth(t *testing.T) {
	address, _, roots := serveBoth(t)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: wait.Patience}
	for range 3 {
		if got := fetch(t, client, "http://"+address); got != "tls=false" {
			t.Errorf("over http: %q", got)
		}
		if got := fetch(t, client, "https://"+address); got != "tls=true" {
			t.Errorf("over https: %q", got)
		}
	}
}

// Clients open connections and never finish, or never begin, a TLS handshake. The next client is served nevertheless.
func TestSilenceHoldsNobodyUp(t *testing.T) {
	address, l, roots := serveBoth(t)
	for i := range 60 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			conn.Write([]byte{tlsHandshake, 3, 1})
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: wait.Patience}
	if got := fetch(t, client, "https://"+address); got != "tls=true" {
		t.Errorf("got %q", got)
	}
	l.pending.mu.Lock()
	defer l.pending.mu.Unlock()
	if l.pending.held > 61 {
		t.Errorf("%d connections are counted as pending", l.pending.held)
	}
}

// Somebody opens more silent connections than one address may have, from behind the NAT or the proxy that everybody
// else comes from too. The next client is served, because the oldest silent connection makes room.
func TestSilenceLocksOutNoAddress(t *testing.T) {
	address, l, roots := serveBoth(t)
	var first net.Conn
	for range pendingFromSource + 20 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if first == nil {
			first = conn
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	if got := fetch(t, client, "https://"+address); got != "tls=true" {
		t.Errorf("got %q", got)
	}
	first.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := first.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest silent connection: %v", err)
	}
	l.pending.mu.Lock()
	defer l.pending.mu.Unlock()
	if l.pending.held > pendingFromSource {
		t.Errorf("%d connections are pending", l.pending.held)
	}
}

func TestSourcesHaveShares(t *testing.T) {
	s := newShares(10, 4)
	dropped := map[string]int{}
	enter := func(from string, weight int) *place {
		return s.enter(netip.MustParseAddr(from), weight, func() { dropped[from]++ })
	}
	var last *place
	for range 7 {
		last = enter("192.0.2.1", 1)
	}
	if dropped["192.0.2.1"] != 3 || s.held != 4 {
		t.Errorf("%v were dropped, %d are held", dropped, s.held)
	}
	modest := enter("192.0.2.2", 1)
	enter("192.0.2.3", 4)
	enter("192.0.2.4", 2) // drops one of the greediest source
	if dropped["192.0.2.2"] != 0 || dropped["192.0.2.1"]+dropped["192.0.2.3"] != 4 {
		t.Errorf("%v were dropped", dropped)
	}
	last.leave()
	last.leave()
	modest.leave()
	for range 4 {
		enter("192.0.2.5", 4).leave()
	}
	if s.held > 10 || s.held < 0 || s.sources[netip.MustParseAddr("192.0.2.5")] != nil {
		t.Errorf("%d are held, %v", s.held, s.sources)
	}
}

// A place that is kept cannot be dropped, and counts until it is left.
func TestPlacesThatAreKept(t *testing.T) {
	s := newShares(10, 4)
	from := netip.MustParseAddr("192.0.2.1")
	dropped := 0
	drop := func() { dropped++ }
	kept := s.enter(from, 3, drop)
	kept.keep()
	waiting := s.enter(from, 1, drop)
	if s.enter(from, 4, drop) != nil {
		t.Error("somebody was let in beyond what is kept")
	}
	if next := s.enter(from, 1, drop); next == nil || dropped != 1 {
		t.Errorf("a newcomer is let in: %v; %d were dropped", next != nil, dropped)
	}
	waiting.leave()
	kept.leave()
	kept.leave()
	if s.held != 0 && s.held != 1 {
		t.Errorf("%d are held", s.held)
	}
	if s.enter(from, 3, drop) == nil {
		t.Error("what was left keeps others out")
	}
}

func TestSourceOf(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.7:4000":            "192.0.2.7",
		"[::ffff:192.0.2.7]:4000":   "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::",
		"[fe80::1%eth0]:80":         "fe80::",
	} {
		if got := sourceOf(from); got != netip.MustParseAddr(want) {
			t.Errorf("%s counts for %s, want %s", from, got, want)
		}
	}
}

func TestPeekedConnGivesEverythingAndLetsGo(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		far.Write([]byte("hello "))
		far.Write([]byte("world"))
		far.Close()
	}()
	reader := bufio.NewReader(near)
	if _, err := reader.Peek(1); err != nil {
		t.Fatal(err)
	}
	conn := &peekedConn{Conn: near, reader: reader}
	all, err := io.ReadAll(conn)
	if err != nil || string(all) != "hello world" {
		t.Errorf("read %q, %v", all, err)
	}
	if conn.reader != nil {
		t.Error("the reader is kept")
	}
}
