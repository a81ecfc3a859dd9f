package dbtest

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

// PostgreSQLURL makes an empty database for the test and returns its URL. The server belongs to this process, starts
// with the first test that needs it, and ends with the process. It listens only on a socket in a temporary directory.
// The test is skipped if PostgreSQL is not installed.
func PostgreSQLURL(t testing.TB) string {
	t.Helper()
	server, err := startOnce()
	if errors.Is(err, errNotInstalled) {
		prerequisite.Missing(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	made, err := server.database(t)
	if err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return made
}

var errNotInstalled = errors.New("PostgreSQL's programs are not installed (Debian: apt install postgresql)")

// startOnce starts the process's server.
var startOnce = sync.OnceValues(start)

// server is a PostgreSQL cluster.
type server struct {
	directory string
	input     io.Closer // of the shell that runs it; open while this process lives
	mu        sync.Mutex
	databases int
}

// serve runs a server in the current directory until its standard input ends, which happens when the process at the
// other end ends, for whatever reason. Then it removes the directory. It prints "ready", or an error, and continues if
// its output is closed. $1 is the directory of PostgreSQL's programs.
const serve = `
trap '' PIPE
"$1/initdb" --pgdata=data --username=sallyport --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync >log 2>&1 &&
"$1/pg_ctl" start --pgdata=data --log=server.log --wait --timeout=300 \
	--options="-k '$PWD' -c listen_addresses= -c fsync=off -c max_connections=200 -c shared_buffers=32MB" >>log 2>&1 &&
echo ready || cat log server.log
read _
"$1/pg_ctl" stop --pgdata=data --mode=immediate >/dev/null 2>&1
rm -rf "$PWD"`

func start() (*server, error) {
	programs, err := find()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "dbtest")
	if err != nil {
		return nil, err
	}
	shell := exec.Command("/bin/sh", "-c", serve, "sh", programs)
	shell.Dir = directory
	if shell.SysProcAttr, err = unprivileged(directory); err != nil {
		return nil, errors.Join(err, os.Remove(directory))
	}
	input, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, errors.Join(err, os.Remove(directory))
	}
	said := bufio.NewReader(output)
	if line, err := said.ReadString('\n'); line != "ready\n" {
		input.Close()
		rest, _ := io.ReadAll(said)
		return nil, fmt.Errorf("start PostgreSQL: %v\n%s%s", err, line, rest)
	}
	return &server{directory: directory, input: input}, nil
}

// find returns the directory of the newest installed server.
func find() (string, error) {
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
	return "", errNotInstalled
}

// unprivileged gives the directory to a user who may run PostgreSQL, which refuses to run as root. An interrupt from
// the terminal does not reach the server; the server ends with the tests.
func unprivileged(directory string) (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true}
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
	return attributes, os.Chown(directory, int(uid), int(gid))
}

func (s *server) url(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.directory}, "user": {"sallyport"}}.Encode()
}

// database makes an empty database and returns its URL.
func (s *server) database(t testing.TB) (string, error) {
	s.mu.Lock() // PostgreSQL copies its template for one database at a time
	defer s.mu.Unlock()
	admin, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return "", err
	}
	defer admin.Close()
	s.databases++
	name := fmt.Sprint("test", s.databases)
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name)
	return s.url(name), err
}
