package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// ErrNoPostgres is StartPostgres's answer on a machine without PostgreSQL.
var ErrNoPostgres = errors.New("PostgreSQL's programs are not installed (Debian: apt install postgresql)")

// Postgres is a private PostgreSQL cluster in a temporary directory. It listens on a Unix socket there and
// nowhere else, and ends with the process that started it.
type Postgres struct {
	directory string
	server    *exec.Cmd
	ended     chan error
	databases atomic.Int32
}

// StartPostgres makes and starts a cluster. The caller stops it.
func StartPostgres(ctx context.Context) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	p := &Postgres{directory: directory, ended: make(chan error, 1)}
	if err := p.start(ctx, bin); err != nil {
		os.RemoveAll(directory)
		return nil, err
	}
	return p, nil
}

// postgresBin finds the newest installed server's directory.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", ErrNoPostgres
}

func (p *Postgres) start(ctx context.Context, bin string) error {
	attributes, err := p.unprivileged()
	if err != nil {
		return err
	}
	data := filepath.Join(p.directory, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=sallyport", "--auth=trust",
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = p.directory, attributes
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	var log bytes.Buffer
	p.server = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", p.directory,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB")
	p.server.Dir, p.server.SysProcAttr = p.directory, attributes
	p.server.Stdout, p.server.Stderr = &log, &log
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig follows the thread that started the process
		err := p.server.Start()
		started <- err
		if err == nil {
			p.ended <- p.server.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	for {
		err := p.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case ended := <-p.ended:
			return fmt.Errorf("postgres ended: %v\n%s", ended, log.String())
		case <-ctx.Done():
			p.Stop()
			return fmt.Errorf("postgres does not answer: %w\n%s", err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// unprivileged gives the directory to a user who may run PostgreSQL, which refuses to run as root.
func (p *Postgres) unprivileged() (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT} // PostgreSQL's immediate shutdown
	if os.Getuid() != 0 {
		return attributes, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user for it: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, os.Chown(p.directory, int(uid), int(gid))
}

func (p *Postgres) url(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {p.directory}, "user": {"sallyport"}}.Encode()
}

func (p *Postgres) ping(ctx context.Context) error {
	db, err := sql.Open("pgx", p.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

// Database makes an empty database for the test and returns its URL.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	db, err := sql.Open("pgx", p.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := fmt.Sprintf("test%d", p.databases.Add(1))
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return p.url(name)
}

// Stop ends the server and removes the cluster.
func (p *Postgres) Stop() error {
	p.server.Process.Signal(syscall.SIGQUIT)
	<-p.ended
	return os.RemoveAll(p.directory)
}
