package controlplane

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// healthTime bounds a health check.
const healthTime = 5 * time.Second

// route sends each request to its room. What needs no signature stands here, by name: health, metrics, and the
// machines' end, which proves itself by token and key.
func route(api, hosts, metrics http.Handler, healthy func(context.Context) error, allowPlain bool) http.Handler {
	mux := http.NewServeMux()
	plain := keepPlainLocal
	if allowPlain {
		plain = func(next http.Handler) http.Handler { return next }
	}
	mux.Handle("GET /healthz", plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { health(w, r, healthy) })))
	mux.Handle("GET /metrics", plain(metrics))
	mux.Handle(hostproto.EnrollPath, onlyTLS(hosts))
	mux.Handle(hostproto.LinkPath, onlyTLS(hosts))
	mux.Handle("/", api) // it refuses plain HTTP itself, in words that AWS's clients understand
	return mux
}

// keepPlainLocal refuses requests without TLS from other machines.
func keepPlainLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil && !fromLoopback(r) {
			http.Error(w, "Sallyport takes plain HTTP from its own machine only. Use https:// with the same host and port; the certificate's authority is in the server's ca.pem.", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func onlyTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			json.NewEncoder(w).Encode(hostproto.Refusal{Message: "Machines reach the control plane over https only."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func fromLoopback(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// health answers 200 while the store can be read, else 503.
func health(w http.ResponseWriter, r *http.Request, healthy func(context.Context) error) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTime)
	defer cancel()
	answer, status := map[string]string{"status": "ok"}, http.StatusOK
	if healthy(ctx) != nil {
		answer, status = map[string]string{"status": "unavailable", "reason": "the database does not answer"}, http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}
