package hostproto

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func TestAgentVersion(t *testing.T) {
	for named, want := range map[string]int{
		"": 1, subprotocol(1): 1, subprotocol(Version): Version, subprotocol(17): 17,
		"17": 1, "sallyport-host.": 1, "sallyport-host.-1": 1,
		"sallyport-host.0": 1, "sallyport-host.99999999999999999999": 1,
		"sallyport-host.2, chat": 1, "chat": 1,
	} {
		request := httptest.NewRequest(http.MethodGet, LinkPath, nil)
		request.Header.Set("Sec-WebSocket-Protocol", named)
		if got := AgentVersion(request); got != want {
			t.Errorf("%q: got %d, want %d", named, got, want)
		}
	}
}

func TestVersionProblem(t *testing.T) {
	for _, test := range []struct {
		agent, controlPlane int
		says                string
	}{
		{1, 2, "agent is the older one: update sallyport-host on the machine"},
		{3, 2, "control plane is the older one: update the control plane"},
	} {
		if got := VersionProblem(test.agent, test.controlPlane); !strings.Contains(got, test.says) {
			t.Errorf("%+v: %q", test, got)
		}
	}
	if got := VersionProblem(2, 2); got != "" {
		t.Errorf("the same version is a problem: %q", got)
	}
}

// A control plane from before the handshake named versions accepts any agent. The agent recognizes it by the missing
// subprotocol, and does not wait for messages that it would not understand.
func TestFirstControlPlanes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := websocket.Accept(w, r, nil); err == nil {
			defer ws.CloseNow()
			ws.Read(r.Context())
		}
	}))
	defer server.Close()
	_, _, err := Dial(t.Context(), server.Client(), server.URL, "i-1")
	if err == nil || !strings.Contains(err.Error(), "The control plane is the older one: update the control plane") {
		t.Errorf("got %v", err)
	}
}
