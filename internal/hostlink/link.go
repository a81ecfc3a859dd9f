package hostlink

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/yamux"

	"github.com/sallyport/sallyport/internal/hostproto"
)

var errLinkEnded = errors.New("hostlink: the link ended")

// maxJobs bounds what a host has asked for and not been answered: its releases, and some reports.
const maxJobs = hostproto.MaxReleases + 8

// link is one host's link.
type link struct {
	instanceID string
	machine    string // the fingerprint that the agent gives of its machine; "" for none
	from       string // who it is, for people
	session    *yamux.Session
	stream     *hostproto.Stream
	welcomed   chan struct{} // closed when the agent was told all grants that were live
	ended      chan struct{} // closed when the link is gone

	mu      sync.Mutex
	lastID  uint64
	waiting map[uint64]chan hostproto.Ack
	jobs    []func()
	busy    bool           // somebody works on them
	working sync.WaitGroup // who does
}

func newLink(instanceID string, session *yamux.Session, stream *hostproto.Stream) *link {
	return &link{
		instanceID: instanceID, session: session, stream: stream,
		welcomed: make(chan struct{}), ended: make(chan struct{}), waiting: make(map[uint64]chan hostproto.Ack),
	}
}

// call sends a message and waits for its acknowledgement, the end of the link or that of the context. Before the
// welcome nothing may be sent: the agent would forget it at the welcome.
func (l *link) call(ctx context.Context, m hostproto.Message) (hostproto.Ack, error) {
	select {
	case <-l.welcomed:
	case <-l.ended:
		return hostproto.Ack{}, errLinkEnded
	case <-ctx.Done():
		return hostproto.Ack{}, ctx.Err()
	}
	answer := make(chan hostproto.Ack, 1)
	l.mu.Lock()
	l.lastID++
	m.ID = l.lastID
	l.waiting[m.ID] = answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, m.ID)
		l.mu.Unlock()
	}()
	if err := l.stream.Send(m); err != nil {
		return hostproto.Ack{}, err
	}
	select {
	case ack := <-answer:
		return ack, nil
	case <-l.ended:
		return hostproto.Ack{}, errLinkEnded
	case <-ctx.Done():
		return hostproto.Ack{}, ctx.Err()
	}
}

// acked passes an acknowledgement on to who waits for it. One that nobody waits for came too late.
func (l *link) acked(id uint64, ack hostproto.Ack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if answer, ok := l.waiting[id]; ok {
		delete(l.waiting, id)
		answer <- ack // has room for the one
	}
}

// later runs the job after those before it, beside the reading of messages, which must not wait for a database.
// It is false if the host asks for more than it may.
func (l *link) later(job func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.jobs) >= maxJobs {
		return false
	}
	l.jobs = append(l.jobs, job)
	if !l.busy {
		l.busy = true
		l.working.Go(l.work)
	}
	return true
}

// work runs jobs until there are none.
func (l *link) work() {
	for {
		l.mu.Lock()
		if len(l.jobs) == 0 {
			l.jobs, l.busy = nil, false
			l.mu.Unlock()
			return
		}
		job := l.jobs[0]
		l.mu.Unlock()
		job()
		l.mu.Lock()
		l.jobs = l.jobs[1:]
		l.mu.Unlock()
	}
}

// bye tells the agent why the link is closed and closes it.
func (l *link) bye(reason string) {
	l.stream.Send(hostproto.Message{Bye: &hostproto.Bye{Reason: reason}})
	l.close()
}

// dismiss tells an agent that was not welcomed yet that its enrollment is over, and closes the link.
func (l *link) dismiss() {
	l.stream.Send(hostproto.Message{Dismiss: &hostproto.Dismiss{}})
	l.close()
}

// close closes the link from outside; who reads from it then ends it.
func (l *link) close() { l.session.Close() }
