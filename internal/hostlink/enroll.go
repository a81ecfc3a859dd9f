package hostlink

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/trail"
)

// enroll enrolls a machine that presents a valid token. Its TLS client key becomes the agent's.
func (h *handler) enroll(w http.ResponseWriter, r *http.Request) {
	key, ok := ca.ClientKey(r.TLS)
	if !ok {
		h.refuse(w, errNoKey)
		return
	}
	var request hostproto.Enroll
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, hostproto.MaxMessage)).Decode(&request); err != nil {
		h.refuse(w, fault.Wrap(err, fault.Invalid, fault.Body, "The body is not an enrollment."))
		return
	}
	token, err := hostproto.ParseToken(request.Token)
	if err != nil {
		h.refuse(w, err)
		return
	}
	instance, err := h.redeem(r, token, key, request.Report)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.Log.Info("a host was enrolled", "instance", instance.ID, "hostname", instance.Report.Hostname)
	answer(w, http.StatusOK, hostproto.Enrolled{
		InstanceID: instance.ID, Account: h.Account, Region: instance.Region, Zone: instance.Zone, Authority: h.Authority,
	})
}

// redeem enrolls the machine and records the outcome. Before enrollment, events identify the machine by its token's id.
// If the token is not valid, nothing that the machine says of itself enters the trail.
func (h *handler) redeem(
	r *http.Request, token hostproto.Token, key []byte, report hostproto.Report,
) (hosts.Host, error) {
	call := h.call(r, "EnrollHost", h.Region)
	stranger := call
	stranger.Parameters = map[string]any{"hostTokenId": token.ID}
	call.Parameters = map[string]any{"hostTokenId": token.ID, "hostname": report.Hostname}
	identity := trail.Identity{Type: trail.Host, PrincipalID: token.ID, AccountID: h.Account}
	pass, err := h.Gate.AdmitHost(identity, call)
	if err != nil {
		return hosts.Host{}, err
	}
	told, err := fromWire(report)
	var instance hosts.Host
	if err == nil {
		application := hosts.Application{
			TokenID: token.ID, Secret: gate.Secret(token.Secret), PublicKey: key, Report: told,
		}
		err = h.Gate.Write(r.Context(), pass, func(tx *gate.Tx) (err error) {
			instance, err = h.Hosts.Enroll(tx, application)
			return err
		})
	}
	ctx := context.WithoutCancel(r.Context())
	if err == nil {
		return instance, nil
	}
	h.Log.Info("an enrollment failed", "source", call.SourceIP, "token", token.ID, "error", err)
	f := fault.Of(err)
	failed := h.Gate.Record(ctx, trail.Identity{Type: trail.Unknown}, stranger, gate.Pass{},
		&gate.Failure{Code: f.Kind.String(), Message: f.Message})
	if failed != nil { // an enrollment that cannot be recorded fails for that reason
		err = failed
	}
	return hosts.Host{}, err
}

var errNoKey = fault.New(fault.Invalid, fault.HostKey,
	"A machine connects with TLS and shows its Ed25519 key as a client certificate. "+
		"If a proxy ends TLS in between, let it pass TLS through.")

// fromWire converts a report. hosts checks its fields.
func fromWire(r hostproto.Report) (hosts.Report, error) {
	report := hosts.Report{
		Hostname: r.Hostname, OS: r.OS, Architecture: r.Architecture, SSHPort: r.SSHPort,
		HostKeys: r.HostKeys, Users: r.Users, Version: r.Version, KeyTypes: r.KeyTypes, Machine: r.Machine,
	}
	for _, problem := range r.Problems {
		report.Problems = append(report.Problems, hostproto.Reason(problem))
	}
	for _, text := range r.Addresses {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return hosts.Report{}, fault.New(fault.Invalid, fault.HostReport,
				"The host's report is refused: %.64q is not an address.", text)
		}
		report.Addresses = append(report.Addresses, address)
	}
	return report, nil
}
