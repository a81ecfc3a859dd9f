package hostlink

import (
	"context"
	"sync"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// maxJobs bounds what a host has asked for and not been answered: its releases, and some reports.
const maxJobs = hostproto.MaxReleases + 8

// link is one host's link.
type link struct {
	instanceID string
	machine    string // the fingerprint that the agent gives of its machine; "" for none
	from       string // who it is, for people
	conn       *hostproto.Conn
	welcomed   chan struct{} // closed when the agent was told all grants that were live

	jobs    chan struct{} // filled by the jobs that are not done
	turn    sync.Mutex    // of the job that is being done
	working sync.WaitGroup
}

func newLink(instanceID string, conn *hostproto.Conn) *link {
	return &link{
		instanceID: instanceID, conn: conn, welcomed: make(chan struct{}), jobs: make(chan struct{}, maxJobs),
	}
}

// call sends a message and waits for its acknowledgement, the end of the link or that of the context. Before the
// welcome nothing may be sent: the agent would forget it at the welcome.
func (l *link) call(ctx context.Context, m hostproto.Message) (hostproto.Ack, error) {
	select {
	case <-l.welcomed:
	case <-l.conn.Ended(): // as the call will say
	case <-ctx.Done():
		return hostproto.Ack{}, ctx.Err()
	}
	answer, err := l.conn.Call(ctx, m)
	if err != nil {
		return hostproto.Ack{}, err
	}
	return *answer.Ack, nil
}

// later does the job beside the reading of messages, which must not wait for a database. A host's jobs are done one
// after the other. It reports false if the host asks for more than it may.
func (l *link) later(job func()) bool {
	select {
	case l.jobs <- struct{}{}:
	default:
		return false
	}
	l.working.Go(func() {
		defer func() { <-l.jobs }()
		l.turn.Lock()
		defer l.turn.Unlock()
		job()
	})
	return true
}

// end sends the link's last message and closes it.
func (l *link) end(last hostproto.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), hostproto.WriteTimeout)
	defer cancel()
	l.conn.Send(ctx, last)
	l.conn.Close()
}

// bye tells the agent why the link is closed and closes it.
func (l *link) bye(reason string) {
	l.end(hostproto.Message{Bye: &hostproto.Bye{Reason: reason}})
}
