package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/trail"
)

// Limits of one HTTP connection. They end for a host's link once it is up.
const (
	readHeaderTime = 10 * time.Second
	readTime       = 30 * time.Second
	writeTime      = time.Minute
	idleTime       = 2 * time.Minute
	maxHeader      = 64 << 10 // bytes; a session token is a few KB
)

// Server is a running control plane.
type Server struct {
	config     Config
	account    string
	endpoint   string
	advertised string
	parts      parts

	log       *slog.Logger
	clock     clock.Clock
	random    io.Reader
	directory *directory
	database  *db.Writer
	settled   *settled
	http      *http.Server
	stop      context.CancelFunc // ends background work and requests in progress
	working   sync.WaitGroup
	failed    chan struct{} // closed when the server ends by itself
	failure   error         // why; valid once failed is closed
	closing   sync.Once
}

// Start starts a control plane. When it returns, the root user's credentials are durable in Data, and requests are
// answered. ctx bounds the start only; Close ends the server. clk and random must be safe for concurrent use.
func Start(
	ctx context.Context, config Config, log *slog.Logger, clk clock.Clock, random io.Reader,
) (_ *Server, err error) {
	if config, err = config.withDefaults(); err != nil {
		return nil, err
	}
	s := &Server{config: config, log: log, random: random, stop: func() {}, failed: make(chan struct{})}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if s.directory, err = openDirectory(config.Data); err != nil {
		return nil, err
	}
	if err = s.openDatabase(ctx); err != nil {
		return nil, err
	}
	if s.account, err = s.decideAccount(ctx, random); err != nil {
		return nil, err
	}
	authority, err := s.directory.authority(s.account, clk.Now(), random)
	if err != nil {
		return nil, err
	}
	seal, err := s.directory.sealKey(random)
	if err != nil {
		return nil, err
	}
	if clk, err = s.afterItsTrail(ctx, clk); err != nil {
		return nil, err
	}
	s.clock, s.settled = clk, settle(clk())
	if err := s.belongTogether(ctx, authority.Certificate().RawSubjectPublicKeyInfo, seal); err != nil {
		return nil, err
	}
	// The port is taken before the credentials are written, because they name it, and requests are answered afterwards.
	inner, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.endpoint, s.advertised = config.urls(inner.Addr())
	s.parts, err = assemble(surroundings{
		config: config, account: s.account, advertised: s.advertised, endpoint: s.endpoint,
		database: s.database, authority: authority, sealKey: seal, log: log, clock: clk, random: random,
	})
	if err == nil {
		err = s.keepCredentials(ctx)
	}
	if err != nil {
		inner.Close()
		return nil, err
	}
	s.serve(newListener(inner, authority.ServerTLS(config.names(inner.Addr()), clk.Now)), authority.Certificate().NotAfter)
	return s, nil
}

// afterItsTrail returns a clock that knows that the time of the newest event has passed.
func (s *Server) afterItsTrail(ctx context.Context, clk clock.Clock) (clock.Clock, error) {
	newest, err := trail.NewLog(s.database.DB).Events(ctx, trail.Query{Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("look at the trail's newest event: %w", err)
	}
	for _, entry := range newest {
		return clk.After(entry.Event.Time), nil
	}
	return clk, nil
}

// serve starts answering requests, and warning of the root certificate's end.
func (s *Server) serve(l net.Listener, authorityEnd time.Time) {
	base, stop := context.WithCancel(context.Background())
	s.stop = stop
	health := &health{record: s.database.Prove, clock: s.clock, log: s.log}
	s.http = &http.Server{
		Handler:           route(s.parts.api, s.parts.machines, s.parts.metrics.handler(), health, s.config.AllowPlainHTTP),
		ReadHeaderTimeout: readHeaderTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		BaseContext:    func(net.Listener) context.Context { return base },
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelError),
	}
	s.working.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failure = fmt.Errorf("the server ended: %w", err)
			close(s.failed)
		}
	})
	s.working.Go(func() { s.keep(base) })
	s.working.Go(func() { s.remindOfTheEnd(base, authorityEnd) })
}

// Endpoint returns the URL of the API for clients on this machine.
func (s *Server) Endpoint() string { return s.endpoint }

// Advertised returns the https URL by which machines reach the control plane.
func (s *Server) Advertised() string { return s.advertised }

// Account returns the account number.
func (s *Server) Account() string { return s.account }

// Services returns the tables of the operations.
func (s *Server) Services() []awsapi.Service { return s.parts.services }

// Answered returns how many calls have been answered since the start.
func (s *Server) Answered() int64 { return s.parts.metrics.answered.Load() }

// Failed returns a channel that is closed if the server stops by itself. Close then returns why.
func (s *Server) Failed() <-chan struct{} { return s.failed }

// Close stops the server: it accepts no new requests, ends those in progress, tells the hosts, and closes the database
// last. When ctx is done, it cuts off what is left, except for writes in progress. It returns why the server stopped by
// itself, if it did.
func (s *Server) Close(ctx context.Context) (err error) {
	s.closing.Do(func() {
		err = s.http.Shutdown(ctx)
		s.parts.links.Drain(ctx)
		s.http.Close()
		s.stop()
		s.working.Wait()
		s.saveUses(context.WithoutCancel(ctx))
		select {
		case <-s.failed:
			err = errors.Join(err, s.failure)
		default:
		}
		err = errors.Join(err, s.release())
	})
	return err
}

// release frees what Start took.
func (s *Server) release() (err error) {
	s.stop()
	if s.database != nil {
		err = s.database.Close()
	}
	if s.directory != nil {
		err = errors.Join(err, s.directory.close())
	}
	return err
}
