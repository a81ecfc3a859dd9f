package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/daemon"
)

type serveCommand struct {
	Data           string   `type:"path" placeholder:"DIR" help:"Keys, credentials and database; made if missing."`
	Listen         string   `placeholder:"ADDR" help:"Address for HTTP and HTTPS (default: 127.0.0.1:7474)."`
	DB             string   `name:"db" placeholder:"postgres://…" help:"Database (default: SQLite in the data directory)."`
	Account        string   `placeholder:"DIGITS" help:"Account number, 12 digits (default: drawn once, then kept)."`
	Regions        []string `placeholder:"NAME,…" help:"Regions, the first being the default (default: on-prem-1)."`
	Hostname       []string `sep:"none" placeholder:"NAME" help:"Another name or address to certify. Repeatable."`
	Advertise      string   `placeholder:"URL" help:"https://HOST:PORT for machines (default: from the listen address)."`
	AllowPlainHTTP bool     `name:"allow-plain-http" help:"Let other machines use the API without TLS."`
	CallRate       int      `placeholder:"N" help:"Calls a second of each user, ten times as many at once (default: 100)."`
	Config         string   `type:"existingfile" placeholder:"FILE" help:"JSON file of these settings; flags win."`
	BoundLog       []string `sep:"none" hidden:"" help:"Log of a daemon of sallyport up, to bound. Repeatable."`
	LogFormat      string   `enum:"text,json" default:"text" help:"Log on standard error as text or json (${default})."`
}

// Help returns the text of sallyport serve --help.
func (serveCommand) Help() string {
	return `For this machine only, or for others too:

  sallyport serve --data ~/sallyport
  sallyport serve --data /var/lib/sallyport/data --listen 0.0.0.0:7474 --hostname bastion.example.com

The first start writes the root user's access key to DIR/credentials, as an AWS profile named sallyport. HTTP and HTTPS
share the port; plain HTTP is for this machine only. The certificate is signed by DIR/ca.pem: clients elsewhere set
ca_bundle to a copy of it.

The keys of a --config file: data, listen, db, account, regions, hostnames, advertise, allowPlainHTTP, callRate. Others
are errors.`
}

// shutdownTime is how long calls in progress may still take after the server is told to stop.
const shutdownTime = 10 * time.Second

func (c serveCommand) Run(ctx context.Context, term terminal) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer release()
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	var handler slog.Handler = slog.NewTextHandler(term.err, nil)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(term.err, nil)
	}
	log := slog.New(handler)
	go ignoreHangUps(ctx, hangUp, log)
	server, err := controlplane.Start(ctx, config, log, clock.System(), rand.Reader)
	if err != nil {
		return err
	}
	fmt.Fprintf(term.out, "listening on %s and for machines on %s\n", server.Endpoint(), server.Advertised())
	go daemon.BoundLogs(ctx, c.BoundLog...)
	go tendMemory(ctx, server.Answered)
	select {
	case <-ctx.Done():
		release() // a second signal ends the process at once
	case <-server.Failed():
	}
	stopping, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	return server.Close(stopping)
}

// ignoreHangUps ignores the signal that says that the terminal was closed, or, to other daemons, that they should read
// their settings again.
func ignoreHangUps(ctx context.Context, signals <-chan os.Signal, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			log.Info("SIGHUP changes nothing: settings are read at the start")
		}
	}
}

// config merges the file and the flags. Flags take precedence.
func (c serveCommand) config() (controlplane.Config, error) {
	var config controlplane.Config
	if c.Config != "" {
		read, err := controlplane.ReadConfig(c.Config)
		if err != nil {
			return config, err
		}
		config = read
	}
	for _, flag := range []struct {
		value string
		into  *string
	}{
		{c.Data, &config.Data}, {c.Listen, &config.Listen}, {c.DB, &config.Database},
		{c.Account, &config.Account}, {c.Advertise, &config.Advertise},
	} {
		if flag.value != "" {
			*flag.into = flag.value
		}
	}
	if len(c.Regions) > 0 {
		config.Regions = c.Regions
	}
	if len(c.Hostname) > 0 {
		config.Hostnames = c.Hostname
	}
	if c.CallRate != 0 {
		config.CallRate = c.CallRate
	}
	config.AllowPlainHTTP = config.AllowPlainHTTP || c.AllowPlainHTTP
	return config, nil
}
