package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/hostproto"
)

type hostTokenCommand struct {
	connection
	Name    string            `help:"Name of the new instance."`
	Zone    string            `help:"Its availability zone (default: the region's first)."`
	Tag     map[string]string `sep:"none" mapsep:"none" placeholder:"KEY=VALUE" help:"A tag it is to have. Repeatable."`
	Expires time.Duration     `default:"1h" help:"How long the token is good for, 1m to 24h (${default})."`
	Output  string            `enum:"text,json" default:"text" help:"text, or json."`
}

// Help returns the text of sallyport host-token --help.
func (hostTokenCommand) Help() string {
	return `The token lets one machine enroll, once, and pins this control plane: the machine talks to no other. It is a
secret.

  sallyport host-token --name web-1 --tag env=prod

Copy bin/sallyport-host to the machine, then run there, as root, the command this prints. Or both from here:

  scp bin/sallyport-host root@web-1:/usr/local/bin/
  sallyport host-token --name web-1 | ssh root@web-1 sallyport-host enroll -`
}

func (c hostTokenCommand) Run(ctx context.Context, term terminal) error {
	config, err := c.config(ctx)
	if err != nil {
		return err
	}
	if c.Expires < time.Minute {
		return errors.New("--expires must be 1m or more")
	}
	in := &sallyport.CreateHostTokenInput{
		Name: c.Name, AvailabilityZone: c.Zone, DurationSeconds: int64(c.Expires / time.Second),
	}
	for _, key := range slices.Sorted(maps.Keys(c.Tag)) {
		in.Tags = append(in.Tags, sallyport.Tag{Key: key, Value: c.Tag[key]})
	}
	out, err := sallyport.NewFromConfig(config).CreateHostToken(ctx, in)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return json.NewEncoder(term.out).Encode(out)
	}
	fmt.Fprintf(term.out, "%s\n", out.Token)
	shown := out.Token
	if !isTerminal(term.out) {
		shown = "…" // a secret that is redirected should not appear on the terminal
	}
	fmt.Fprintf(term.err, "\nGood for one machine until %s. On the machine, as root:\n"+
		"  SALLYPORT_HOST_TOKEN=%s sallyport-host enroll\n", time.Unix(out.Expires, 0).Format("15:04:05 MST"), shown)
	if token, err := hostproto.ParseToken(out.Token); err == nil && onLoopback(token.Server) {
		fmt.Fprintf(term.err, "\nThe token names %s, which only this machine reaches: for others start the control plane "+
			"as\nsallyport serve --help says, with --listen and --hostname.\n", token.Server)
	}
	return nil
}

// onLoopback reports whether the URL names a loopback address, which is another machine for every reader.
func onLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}
