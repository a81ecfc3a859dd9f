package host

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/host/keys"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// Bounds on a conversation on the socket.
const (
	lookTimeout = 15 * time.Second // for a status, which asks sshd first
	maxQuestion = 4 << 10          // bytes
	maxStatus   = 1 << 20          // bytes
)

// aboutStatus is the question of AskStatus, in place of keys.About. The answer is an AgentStatus in JSON.
const aboutStatus = "status\x00"

// Recorder records releases. *Spool implements it.
type Recorder interface {
	// Add records a release of a key that the caller pushed. It records an event id only once.
	Add(release hostproto.Release, caller string) error
	// Tell makes the link send the added releases soon.
	Tell()
}

// Desk answers the keys helper, and AskStatus, on a unix socket.
type Desk struct {
	Grants   *Grants
	Recorder Recorder
	Askers   []uint32  // user ids that may ask, besides root
	Random   io.Reader // makes event ids
	Log      *slog.Logger
	Syslog   func(line string)  // called for each key that was handed out
	Status   func() AgentStatus // may be nil

	connections connections
}

// ListenSocket listens on a unix socket that only root and its owner may connect to. It replaces a socket that no
// process serves any more, and returns an error if another agent serves it.
func ListenSocket(path string, owner int) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if conn, err := net.DialTimeout("unix", path, keys.Timeout); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another agent serves %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	err = os.Chmod(path, 0o600)
	if owner != os.Geteuid() {
		err = errors.Join(err, os.Chown(path, owner, -1))
	}
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("hand the socket to the keys helper's user: %w", err)
	}
	return listener, nil
}

// socketInterval is how often an agent checks that its socket is still there.
const socketInterval = time.Second

// keepSocket returns an error once the path no longer names the socket that it names now. An agent that cannot be asked
// must not stay linked: pushes would succeed, and no key would open the machine.
func keepSocket(ctx context.Context, path string) error {
	ours, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	ticker := time.NewTicker(socketInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if now, err := os.Lstat(path); err != nil || !os.SameFile(ours, now) {
			return fmt.Errorf("the socket %s was removed or replaced, so nobody can ask this agent any more", path)
		}
	}
}

// Serve answers until the context is done, which also closes the listener.
func (d *Desk) Serve(ctx context.Context, listener net.Listener) error {
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	busy := make(chan struct{}, 64) // bounds the concurrent conversations
	failed := make(chan error, 1)
	go d.acceptNext(listener, busy, failed)
	err := <-failed
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("accept on the socket: %w", err)
}

// acceptNext accepts a conversation and holds it itself, while another goroutine accepts the next one. Handing the
// conversation to another goroutine would cost its login the time in which a thread wakes up.
func (d *Desk) acceptNext(listener net.Listener, busy chan struct{}, failed chan<- error) {
	busy <- struct{}{}
	defer func() { <-busy }()
	conn, err := listener.Accept()
	if err != nil {
		failed <- err
		return
	}
	go d.acceptNext(listener, busy, failed)
	defer conn.Close()
	if err := d.answer(conn); err != nil {
		d.Log.Warn("the keys helper got no answer", "error", err)
	}
}

func (d *Desk) answer(conn net.Conn) error {
	asker, err := d.admit(conn)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(keys.Timeout)); err != nil {
		return err
	}
	asked := bufio.NewReader(io.LimitReader(conn, maxQuestion))
	switch about, err := asked.ReadString(0); {
	case about == "" && errors.Is(err, io.EOF):
		return nil // a connection that asks nothing: ListenSocket's check
	case err != nil:
		return fmt.Errorf("read the question: %w", err)
	case about == keys.About:
		return d.answerKeys(conn, asked, asker)
	case about == aboutStatus:
		return d.answerStatus(conn)
	}
	return errors.New("the question is about nothing that this agent knows")
}

func (d *Desk) answerKeys(conn net.Conn, asked *bufio.Reader, asker int) error {
	q, err := keys.ReadQuestion(asked)
	if err != nil {
		return fmt.Errorf("read the question: %w", err)
	}
	var answer []keys.Key
	released := d.release(q, asker)
	for _, grant := range released {
		answer = append(answer, keys.Key{Ends: grant.Ends, Line: grant.publicKey})
	}
	_, err = conn.Write(keys.AppendAnswer(nil, answer))
	if len(released) > 0 {
		d.Recorder.Tell()
	}
	if err != nil {
		return err
	}
	for _, grant := range released {
		d.Syslog(fmt.Sprintf("providing the SSH key with fingerprint %s for user %q, request %s, caller %s",
			grant.fingerprint, grant.OSUser, grant.RequestID, grant.caller))
	}
	return nil
}

func (d *Desk) answerStatus(conn net.Conn) error {
	if d.Status == nil {
		return errors.New("this agent does not tell how it is")
	}
	if err := conn.SetDeadline(time.Now().Add(lookTimeout)); err != nil {
		return err
	}
	return json.NewEncoder(conn).Encode(d.Status())
}

// release finds the grants that the question asks for, and records a release of each to the sshd that the asker belongs
// to. It leaves out grants whose release cannot be recorded.
func (d *Desk) release(q keys.Question, asker int) []Live {
	found, now := d.Grants.Find(q.User, q.Fingerprint)
	if len(found) == 0 {
		return nil
	}
	connection := d.connections.find("/proc", asker)
	return slices.DeleteFunc(onePerKey(found), func(grant Live) bool {
		release := hostproto.Release{
			EventID:   connection.eventID(now, d.Random, d.Grants.instanceID, grant.OSUser, grant.fingerprint),
			RequestID: grant.RequestID, OSUser: grant.OSUser, Time: now,
		}
		if connection.client.IsValid() {
			release.Client = connection.client.String()
		}
		err := d.Recorder.Add(release, grant.caller)
		if err != nil {
			d.Log.Error("a key is withheld: its release cannot be recorded", "request", grant.RequestID, "error", err)
		}
		return err != nil
	})
}

// onePerKey returns one grant of each key, the one that ends last: a login uses one grant, however often its key was
// pushed.
func onePerKey(grants []Live) []Live {
	slices.SortFunc(grants, func(a, b Live) int {
		return cmp.Or(strings.Compare(a.fingerprint, b.fingerprint),
			cmp.Compare(b.Ends, a.Ends), strings.Compare(b.RequestID, a.RequestID))
	})
	return slices.CompactFunc(grants, func(a, b Live) bool { return a.fingerprint == b.fingerprint })
}

// admit checks who connected, as the kernel says (SO_PEERCRED), and returns the id of the process; 0 if the process is
// in a PID namespace that the agent cannot see.
func (d *Desk) admit(conn net.Conn) (pid int, err error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if peerErr != nil {
		return 0, fmt.Errorf("look at who asks: %w", peerErr)
	}
	if peer.Uid != 0 && !slices.Contains(d.Askers, peer.Uid) {
		return 0, fmt.Errorf("user %d may not ask", peer.Uid)
	}
	return int(peer.Pid), nil
}
