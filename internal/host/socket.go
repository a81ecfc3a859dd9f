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

// The bounds of a conversation on the socket.
const (
	lookTimeout = 15 * time.Second // for a status, before which the agent looks at sshd
	maxQuestion = 4 << 10          // bytes
	maxStatus   = 1 << 20          // bytes
)

// aboutStatus is what AskStatus asks, in place of keys.About. The answer is an AgentStatus in JSON.
const aboutStatus = "status\x00"

// Recorder records releases. *Spool is one.
type Recorder interface {
	// Add records a release of a key that the caller pushed, once under its event id.
	Add(release hostproto.Release, caller string) error
	// Tell has the control plane told, soon, of what was added.
	Tell()
}

// Desk answers the keys helper, and whoever asks how the agent is, on a unix socket.
type Desk struct {
	Grants   *Grants
	Recorder Recorder
	Askers   []uint32  // user ids that may ask, beside root
	Random   io.Reader // makes event ids
	Log      *slog.Logger
	Syslog   func(line string)  // is told of each key that was handed out
	Status   func() AgentStatus // may be nil

	connections connections
}

// ListenSocket listens on a unix socket that only root and its owner may connect to. It takes the place of a
// socket that nobody serves any more, and refuses to take that of another agent.
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

// socketInterval is how often an agent makes sure that its socket is still there.
const socketInterval = time.Second

// keepSocket returns an error once the path is no more the socket that it is now. An agent that nobody can ask must not
// stay linked: each push would be answered with Success, and no key would open the machine.
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
	busy := make(chan struct{}, 64) // bounds the conversations at one time
	failed := make(chan error, 1)
	go d.acceptNext(listener, busy, failed)
	err := <-failed
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("accept on the socket: %w", err)
}

// acceptNext accepts a conversation and holds it, while another goroutine accepts the next one: to hand the conversation
// to the other one instead would cost its login the time in which a thread wakes up.
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
		return nil // somebody looked whether we are there
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

// release finds the grants and records that they are handed out to the sshd for which the asker asks. One that cannot
// be recorded is not.
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

// onePerKey leaves one grant of each key, the one that ends last: a login is by one grant, however often its key was
// pushed.
func onePerKey(grants []Live) []Live {
	slices.SortFunc(grants, func(a, b Live) int {
		return cmp.Or(strings.Compare(a.fingerprint, b.fingerprint),
			cmp.Compare(b.Ends, a.Ends), strings.Compare(b.RequestID, a.RequestID))
	})
	return slices.CompactFunc(grants, func(a, b Live) bool { return a.fingerprint == b.fingerprint })
}

// admit looks at who connected, as the kernel tells it, and returns the process's id: 0 for one of a PID namespace that
// is out of our sight.
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
