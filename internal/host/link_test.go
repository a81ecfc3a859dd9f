package host

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// newConnection returns an agent's connection, of a machine that never changes, and the control plane's end of it.
func newConnection(t *testing.T, serverClock *Clock) (agent *connection, plane *hostproto.Conn) {
	t.Helper()
	accepted := make(chan *hostproto.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := hostproto.Accept(w, r)
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}))
	t.Cleanup(server.Close)
	conn, _, err := hostproto.Dial(t.Context(), server.Client(), server.URL, instanceID)
	if err != nil {
		t.Fatal(err)
	}
	plane = <-accepted
	t.Cleanup(plane.Close)
	grants := NewGrants(newIssuer(t).authority.Certificate(), instanceID, serverClock, users{},
		func(string) error { return nil }, quiet)
	return &connection{
		Link: &Link{
			Clock: serverClock, Holder: grants, Log: quiet,
			Report: func(context.Context) hostproto.Report { return hostproto.Report{Hostname: "web-1"} },
		},
		conn: conn, adding: make(chan struct{}, 1),
	}, plane
}

// hear returns the next message of the agent.
func hear(t *testing.T, plane *hostproto.Conn) hostproto.Message {
	t.Helper()
	m, err := plane.Receive(wait.Patience)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// say sends the agent a message.
func say(t *testing.T, plane *hostproto.Conn, m hostproto.Message) {
	t.Helper()
	if err := plane.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// A control plane could not store a report, because its database was busy or too many came at once. The agent did not
// send it again until the machine changed, so the instance's description was out of date for months.
func TestReportThatWasNotTakenIsToldAgain(t *testing.T) {
	agent, plane := newConnection(t, NewClock(clock.Uptime))
	go agent.listen(t.Context())
	look := func() <-chan struct{} {
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			agent.report(t.Context())
		}()
		return looked
	}
	for _, code := range []string{hostproto.AckFailed, hostproto.AckFailed, ""} {
		looked := look()
		m := hear(t, plane)
		if m.Report == nil || m.Report.Hostname != "web-1" {
			t.Fatalf("the agent says %+v", m)
		}
		say(t, plane, hostproto.Message{ID: m.ID, Ack: &hostproto.Ack{Code: code}})
		<-looked
	}
	<-look()
	go agent.ping(t.Context())
	if m := hear(t, plane); m.Ping == nil {
		t.Error("what was taken is told again")
	}
}

// A directory service did not answer, and so many keys were pushed that the agent could handle no more messages. The
// link was lost too, because the control plane heard nothing for 20 seconds.
func TestPingsGoOnWhileNothingIsTakenIn(t *testing.T) {
	agent, plane := newConnection(t, NewClock(clock.Uptime))
	ctx, cancel := context.WithCancel(t.Context())
	defer agent.work.Wait()
	defer cancel()
	agent.work.Go(func() { repeat(ctx, time.Millisecond, nil, agent.keepAlive) })
	for range 3 {
		if m := hear(t, plane); m.Ping == nil {
			t.Errorf("the agent says %+v", m)
		}
	}
}

// Somebody in the network held the control plane's answers back, each a little longer than the one before. The agent
// took each for the answer to its latest question. So it believed that the control plane's clock was minutes behind,
// and accepted keys for as long after their end.
func TestLateAnswersDoNotSlowTheClock(t *testing.T) {
	var uptime atomic.Int64
	serverClock := NewClock(func() time.Duration { return time.Duration(uptime.Load()) })
	agent, plane := newConnection(t, serverClock)
	go agent.listen(t.Context())
	serverClock.Start(hostproto.Clocks{Time: time.Now()}, 0, 0)
	ping := func(at time.Duration) (id uint64, measured <-chan struct{}) {
		uptime.Store(int64(at))
		done := make(chan struct{})
		go func() {
			defer close(done)
			agent.ping(t.Context())
		}()
		return hear(t, plane).ID, done
	}
	pong := func(id uint64, measured <-chan struct{}, shown time.Duration) {
		say(t, plane,
			hostproto.Message{ID: id, Ack: &hostproto.Ack{}, Clocks: &hostproto.Clocks{Time: time.Now(), Uptime: shown}})
		<-measured
	}
	first, firstMeasured := ping(7 * time.Second)
	second, secondMeasured := ping(14 * time.Second)
	pong(first, firstMeasured, 7*time.Second)
	if at := serverClock.Reaches(time.Minute); at != time.Minute {
		t.Errorf("a key that ends after a minute would end after %v", at)
	}
	pong(second, secondMeasured, 15*time.Second)
	if at := serverClock.Reaches(time.Minute); at != 59*time.Second {
		t.Errorf("the answer to the last question does not count: %v", at)
	}
}
