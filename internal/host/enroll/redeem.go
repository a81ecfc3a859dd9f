package enroll

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// maxClockOffset is the difference between the machine's clock and the control plane's above which enrollment warns.
const maxClockOffset = 60 * time.Second

// ControlPlane is the server that a token names. It is trusted only if its certificate chains to the authority that the
// token pins.
type ControlPlane struct {
	token       hostproto.Token
	certificate tls.Certificate
	random      io.Reader
}

// NewControlPlane returns the server of the token. The machine presents the key to it, which is its agent's. The
// machine's clock does not affect whom it trusts (see ca.ServerName).
func NewControlPlane(token hostproto.Token, key ed25519.PrivateKey, random io.Reader) (*ControlPlane, error) {
	certificate, err := ca.SelfSigned(key, "sallyport-host")
	if err != nil {
		return nil, err
	}
	return &ControlPlane{token: token, certificate: certificate, random: random}, nil
}

// do sends one request over its own connection.
func (c *ControlPlane) do(request *http.Request) (*http.Response, error) {
	config, err := ca.ClientTLS(c.token.Fingerprint, c.certificate, c.random)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client.Do(request)
}

// reach checks that the server answers and is the pinned one, without using up the token. It returns how far the
// machine's clock is ahead of the server's, to the second; zero if the server sends no time.
func (c *ControlPlane) reach(ctx context.Context, now func() time.Time) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.token.Server+"/healthz", nil)
	if err != nil {
		return 0, err
	}
	response, err := c.do(request)
	if err != nil {
		return 0, c.unreachable(err)
	}
	response.Body.Close()
	told, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return 0, nil
	}
	return now().Sub(told), nil
}

// apart describes how far a clock is ahead of another.
func apart(offset time.Duration) string {
	if offset < 0 {
		return fmt.Sprint(-offset.Round(time.Minute), " behind")
	}
	return fmt.Sprint(offset.Round(time.Minute), " ahead of")
}

// Redeem uses up the token and makes this machine an instance. Errors are faults: Denied "host-token" if the server
// refuses, Denied "server" if it hands out another authority than the one the token pins, Unavailable "server"
// otherwise.
func (c *ControlPlane) Redeem(ctx context.Context, report hostproto.Report) (hostproto.Enrolled, error) {
	token, err := hostproto.FormatToken(c.token)
	if err != nil {
		return hostproto.Enrolled{}, err
	}
	body, err := json.Marshal(hostproto.Enroll{Token: token, Report: report})
	if err != nil {
		return hostproto.Enrolled{}, err
	}
	url := c.token.Server + hostproto.EnrollPath
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return hostproto.Enrolled{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.do(request)
	if err != nil {
		return hostproto.Enrolled{}, c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return hostproto.Enrolled{}, fault.New(fault.Denied, fault.HostToken,
			"The control plane at %s does not enroll this machine: %s", c.token.Server, hostproto.ReadRefusal(response))
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, hostproto.MaxMessage))
	if err != nil {
		return hostproto.Enrolled{}, c.unreachable(err)
	}
	var enrolled hostproto.Enrolled
	if err := json.Unmarshal(text, &enrolled); err != nil || !strings.HasPrefix(enrolled.InstanceID, "i-") {
		return hostproto.Enrolled{}, fault.Wrap(err, fault.Unavailable, fault.Server,
			"The control plane at %s gives an answer that this release of sallyport-host does not understand.", c.token.Server)
	}
	fingerprint, err := ca.Fingerprint(enrolled.Authority)
	if err != nil || fingerprint != c.token.Fingerprint {
		return hostproto.Enrolled{}, fault.Wrap(err, fault.Denied, fault.Server,
			"The control plane at %s hands out another authority than the token pins. "+
				"Make a new token with `sallyport host-token`.", c.token.Server)
	}
	return enrolled, nil
}

func (c *ControlPlane) unreachable(err error) error {
	return fault.Wrap(err, fault.Unavailable, fault.Server,
		"The control plane at %s cannot be reached, or is not the one that made the token (%v). "+
			"Check the address, and that this machine may connect to it.", c.token.Server, err)
}
