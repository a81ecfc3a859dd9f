package hostlink

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

// Hosts enrolls hosts and finds them. *hosts.Service implements it.
type Hosts interface {
	Enroll(tx *gate.Tx, application hosts.Application) (hosts.Host, error)
	// ByKey returns the host whose agent has the key. NotFound if the key was never enrolled or its host was
	// un-enrolled.
	ByKey(ctx context.Context, publicKey []byte) (hosts.Host, error)
	// Dismissed reports whether the host was enrolled with the key and has since been un-enrolled.
	Dismissed(ctx context.Context, id string, publicKey []byte) (bool, error)
	Report(tx *gate.Tx, id string, report hosts.Report) error
	See(tx *gate.Tx, id string, at time.Time) error
}

// Grants are the pushed keys. *access.Service implements it.
type Grants interface {
	LiveGrants(ctx context.Context, region, instanceID string) ([]access.Grant, error)
	Released(tx *gate.Tx, release access.Release) error
}

// Server serves hostproto.EnrollPath and hostproto.LinkPath to machines, over TLS. Every field must be set.
type Server struct {
	Links     *Links
	Hosts     Hosts
	Grants    Grants
	Gate      *gate.Gate
	Account   string
	Region    string // of the events of machines that could not be enrolled
	Authority []byte // DER of the certificate of the authority that machines pin
	Clock     clock.Clock
	Random    io.Reader // safe for concurrent use
	Log       *slog.Logger
}

// Handler returns the handler of both paths. It keeps the hosts' limits between their requests, so make only one.
func (s Server) Handler() http.Handler {
	h := &handler{Server: s, limits: newLimits(s.Clock.Now)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+hostproto.EnrollPath, h.enroll)
	mux.HandleFunc("GET "+hostproto.LinkPath, h.link)
	return mux
}

type handler struct {
	Server
	limits *limits
}

// eventSource is the eventSource of hosts' events.
const eventSource = "ec2.amazonaws.com"

// call describes a host's request for the trail.
func (h *handler) call(r *http.Request, name, region string) gate.Call {
	call := gate.Call{
		RequestID: uuid.New(h.Clock.Now(), h.Random), Source: eventSource, Name: name, Region: region,
		UserAgent: r.UserAgent(), Secure: true,
	}
	if address, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		call.SourceIP = address.Addr().Unmap()
	}
	return call
}

// identity returns the identity of an enrolled host in the trail.
func (h *handler) identity(host hosts.Host) trail.Identity {
	return trail.Identity{
		Type: trail.Host, PrincipalID: host.ID, AccountID: h.Account,
		ARN: resource.Instance.ARN(host.Region, h.Account, host.ID),
	}
}

// refuse answers with the fault's message. An internal error is logged and not shown.
func (h *handler) refuse(w http.ResponseWriter, err error) {
	f := fault.Of(err)
	status := map[fault.Kind]int{
		fault.Internal: http.StatusInternalServerError,
		fault.NotFound: http.StatusForbidden, fault.Denied: http.StatusForbidden,
		fault.Unauthenticated: http.StatusForbidden, fault.Exists: http.StatusConflict, fault.InUse: http.StatusConflict,
		fault.Throttled: http.StatusTooManyRequests, fault.Limit: http.StatusTooManyRequests,
		fault.Unavailable: http.StatusServiceUnavailable,
	}[f.Kind]
	if status == 0 {
		status = http.StatusBadRequest
	}
	if f.Kind == fault.Internal {
		h.Log.Error("a host's request failed", "error", err)
	}
	answer(w, status, hostproto.Refusal{Message: f.Message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // if it fails, the machine is gone
}

// ignoreEnd returns nil for an error that only says that a link ended, and err otherwise.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
