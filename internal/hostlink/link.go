package hostlink

import (
	"context"
	"sync"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// maxJobs bounds a host's unanswered requests: its releases, and some reports.
const maxJobs = hostproto.MaxReleases + 8

// link is one host's link.
type link struct {
	instanceID string
	machine    string // the fingerprint of its machine, as the agent reports it; "" for none
	from       string // describes the other end, for messages
	conn       *hostproto.Conn
	welcomed   chan struct{} // closed when the agent was sent all live grants

	jobs    chan struct{} // holds one element for each job that is not done
	turn    sync.Mutex    // held by the running job
	working sync.WaitGroup
}

func newLink(instanceID string, conn *hostproto.Conn) *link {
	return &link{
		instanceID: instanceID, conn: conn, welcomed: make(chan struct{}), jobs: make(chan struct{}, maxJobs),
	}
}

// call sends a message and waits for its acknowledgement, the end of the link or the end of the context. It sends
// nothing before the welcome, at which the agent forgets what it has.
func (l *link) call(ctx context.Context, m hostproto.Message) (hostproto.Ack, error) {
	select {
	case <-l.welcomed:
	case <-l.conn.Ended(): // Call returns its error
	case <-ctx.Done():
		return hostproto.Ack{}, ctx.Err()
	}
	answer, err := l.conn.Call(ctx, m)
	if err != nil {
		return hostproto.Ack{}, err
	}
	return *answer.Ack, nil
}

// later runs the job in a goroutine of its own, so that the reading of messages does not wait for a database. A host's
// jobs run one after the other. It reports false, without running the job, if the host has more unanswered requests
// than maxJobs.
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
