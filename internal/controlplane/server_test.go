package controlplane

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

func startServer(t *testing.T, config Config) (*Server, error) {
	t.Helper()
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	server, err := Start(t.Context(), config, slog.New(slog.DiscardHandler), clocktest.Follow(time.Now), rand.Reader)
	if err == nil {
		t.Cleanup(func() { stopServer(t, server) })
	}
	return server, err
}

func stopServer(t *testing.T, server *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
	defer cancel()
	if err := server.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func credentialsIn(t *testing.T, data string) RootCredentials {
	t.Helper()
	kept, err := ReadCredentials(data)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestStartAndStartAgain(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first, err := startServer(t, Config{Data: data, Regions: []string{"home-1", "away-2"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Account()) != 12 {
		t.Errorf("account %q", first.Account())
	}
	if len(first.Services()) != 6 {
		t.Errorf("%d services", len(first.Services()))
	}
	before := credentialsIn(t, data)
	if before.Endpoint != first.Endpoint() || before.Region != "home-1" {
		t.Errorf("credentials for %s in %s", before.Endpoint, before.Region)
	}
	client := &http.Client{Timeout: wait.Patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	if got := fetch(t, client, first.Endpoint()+"/healthz"); !strings.Contains(got, `"status":"ok"`) {
		t.Errorf("health: %s", got)
	}
	if got := fetch(t, client, first.Endpoint()+"/metrics"); !strings.Contains(got, "sallyport_linked_hosts 0") {
		t.Errorf("metrics: %s", got)
	}
	if got := fetch(t, client, first.Endpoint()+hostproto.LinkPath); !strings.Contains(got, "https only") {
		t.Errorf("the link over plain HTTP: %s", got)
	}
	if _, err := startServer(t, Config{Data: data}); err == nil ||
		!strings.Contains(err.Error(), "another control plane") {
		t.Errorf("a second one on the same data: %v", err)
	}
	stopServer(t, first)
	stopServer(t, first) // does nothing

	if _, err := startServer(t, Config{Data: data, Account: "000000000001"}); err == nil ||
		!strings.Contains(err.Error(), "cannot be changed") {
		t.Errorf("under another account: %v", err)
	}
	second, err := startServer(t, Config{Data: data, Account: first.Account()})
	if err != nil {
		t.Fatal(err)
	}
	after := credentialsIn(t, data)
	if after.AccessKeyID != before.AccessKeyID || after.Secret != before.Secret {
		t.Error("the root user has another key after a restart")
	}
	if after.Endpoint != second.Endpoint() || after.Region != DefaultRegion {
		t.Errorf("credentials for %s in %s, want today's %s in %s", after.Endpoint, after.Region,
			second.Endpoint(), DefaultRegion)
	}
}

// With other keys the hosts would not trust the control plane and the secrets could not be opened. It must not start,
// rather than start and seem to work.
func TestKeysAndDatabaseBelongTogether(t *testing.T) {
	for name, remove := range map[string][]string{"sealing key": {SealFile}, "authority": {AuthorityFile, AuthorityKey}} {
		data := filepath.Join(t.TempDir(), "data")
		server, err := startServer(t, Config{Data: data})
		if err != nil {
			t.Fatal(err)
		}
		stopServer(t, server)
		for _, file := range remove {
			if err := os.Remove(filepath.Join(data, file)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := startServer(t, Config{Data: data}); err == nil || !strings.Contains(err.Error(), "is not the one") {
			t.Errorf("%s lost: %v", name, err)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, config := range map[string]Config{
		"port taken": {Data: filepath.Join(t.TempDir(), "data"), Listen: taken.Addr().String()},
		"bad region": {Data: filepath.Join(t.TempDir(), "data"), Regions: []string{"On Prem"}},
	} {
		if _, err := startServer(t, config); err == nil {
			t.Errorf("%s: started", name)
		}
	}
	// A failed start frees what it took.
	data := filepath.Join(t.TempDir(), "data")
	if _, err := startServer(t, Config{Data: data, Listen: taken.Addr().String()}); err == nil {
		t.Error("started on a taken port")
	}
	if _, err := startServer(t, Config{Data: data}); err != nil {
		t.Errorf("after a failed start: %v", err)
	}
}

// The API itself refuses plain HTTP from elsewhere, unless the configuration allows it.
func TestPlainHTTPFromElsewhere(t *testing.T) {
	for allowed, want := range map[bool]string{false: "ca_bundle", true: "The request is not signed."} {
		server, err := startServer(t,
			Config{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", AllowPlainHTTP: allowed})
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"192.0.2.1:1", "nonsense"} {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("Action=GetCallerIdentity&Version=2011-06-15"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.RemoteAddr = from
			w := httptest.NewRecorder()
			server.http.Handler.ServeHTTP(w, r)
			if w.Code != 403 || !strings.Contains(w.Body.String(), want) {
				t.Errorf("allowed %v, from %s: %d %s", allowed, from, w.Code, w.Body)
			}
		}
	}
}

func TestRoutes(t *testing.T) {
	say := func(word string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, word) })
	}
	handler := func(allowPlain bool) http.Handler {
		return route(say("api"), say("hosts"), say("metrics"), say("health"), allowPlain)
	}
	ask := func(h http.Handler, method, path, from string, secure bool) (int, string) {
		r := httptest.NewRequest(method, path, nil)
		r.RemoteAddr, r.TLS = from, nil
		if secure {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const near, nearV6, mapped, far = "127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "192.0.2.1:1"
	for _, c := range []struct {
		path, from    string
		secure, allow bool
		status        int
		says          string
	}{
		{"/", near, false, false, 200, "api"},
		{"/", nearV6, false, false, 200, "api"},
		{"/", mapped, false, false, 200, "api"},
		{"/", far, true, false, 200, "api"},
		{"/healthz", far, false, false, 400, "ca.pem"},
		{"/healthz", near, false, false, 200, "health"},
		{"/livez", far, false, false, 400, "ca.pem"},
		{"/livez", near, false, false, 200, "ok"},
		{"/metrics", far, false, false, 400, "ca.pem"},
		{"/metrics", "nonsense", false, false, 400, "ca.pem"},
		{"/metrics", far, false, true, 200, "metrics"},
		{"/metrics", near, false, false, 200, "metrics"},
		{hostproto.EnrollPath, far, true, false, 200, "hosts"},
		{hostproto.EnrollPath, near, false, false, 400, "https only"},
		{hostproto.LinkPath, far, false, true, 400, "https only"},
	} {
		status, says := ask(handler(c.allow), http.MethodGet, c.path, c.from, c.secure)
		if status != c.status || !strings.Contains(says, c.says) {
			t.Errorf("%s from %s, TLS %v, plain allowed %v: %d %q, want %d and %q",
				c.path, c.from, c.secure, c.allow, status, says, c.status, c.says)
		}
	}
}
