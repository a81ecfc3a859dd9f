package controlplane

import (
	"encoding/json"
	"net/http"
	"net/netip"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// route returns the handler of all requests. It lists by name what needs no signature: health, liveness, metrics, and
// the machines' paths, on which machines authenticate by token or key.
func route(api, hosts, metrics, health http.Handler, allowPlain bool) http.Handler {
	mux := http.NewServeMux()
	plain := keepPlainLocal
	if allowPlain {
		plain = func(next http.Handler) http.Handler { return next }
	}
	mux.Handle("GET /healthz", plain(health))
	mux.Handle("GET /livez", plain(http.HandlerFunc(alive)))
	mux.Handle("GET /metrics", plain(metrics))
	mux.Handle(hostproto.EnrollPath, onlyTLS(hosts))
	mux.Handle(hostproto.LinkPath, onlyTLS(hosts))
	mux.Handle("/", boundBodies(api)) // refuses plain HTTP itself, in the form that AWS's clients expect
	return mux
}

// keepPlainLocal refuses requests without TLS from other machines.
func keepPlainLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil && !fromLoopback(r) {
			http.Error(w, "Sallyport takes plain HTTP from its own machine only. Use https:// with the same host and port; "+
				"the certificate's authority is in the server's ca.pem.", http.StatusBadRequest)
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
