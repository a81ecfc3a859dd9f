package host

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// talker is an agent's end of a link, and what it has said on it.
type talker struct {
	*connection
	said chan hostproto.Message
}

func newTalker(t *testing.T) (agent talker, plane *hostproto.Stream) {
	t.Helper()
	ours, theirs := net.Pipe()
	agent = talker{said: make(chan hostproto.Message, 16)}
	plane = hostproto.NewStream(theirs)
	serverClock := NewClock(clock.Uptime)
	agent.connection = &connection{
		Link: &Link{
			Clock: serverClock, Holder: NewGrants(newIssuer(t).authority.Certificate(), instanceID, serverClock, users{}, func(string) error { return nil }, quiet), Log: quiet,
			Report: func(context.Context) hostproto.Report { return hostproto.Report{Hostname: "web-1"} },
		},
		stream: hostproto.NewStream(ours), end: func(error) {}, sent: map[uint64]string{},
	}
	go func() {
		for {
			m, err := plane.Receive(wait.Patience)
			if err != nil {
				return
			}
			agent.said <- m
		}
	}()
	t.Cleanup(func() { plane.Close() })
	return agent, plane
}

// look has the agent look at its machine, and returns the id of what it reports; 0 for nothing.
func (a talker) look(t *testing.T) (id uint64) {
	t.Helper()
	if err := errors.Join(a.report(t.Context()), a.ping()); err != nil {
		t.Fatal(err)
	}
	for m := range a.said {
		switch {
		case m.Report != nil:
			id = m.ID
		case m.Ping != nil:
			return id
		}
	}
	return id
}

// A control plane that could not store a report, because its database was busy or too many came at once, was not told
// again until the machine changed: its instance stood there as it once was, for months.
func TestReportThatWasNotTakenIsToldAgain(t *testing.T) {
	agent, plane := newTalker(t)
	greeted := make(chan error, 1)
	go func() { greeted <- agent.greet(t.Context()) }()
	hello := (<-agent.said).ID
	if err := plane.Send(hostproto.Message{ID: hello, Welcome: &hostproto.Welcome{Version: 1}, Clocks: &hostproto.Clocks{Time: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if err := <-greeted; err != nil {
		t.Fatal(err)
	}
	refusal := hostproto.Ack{Code: hostproto.AckFailed}
	if id := agent.look(t); id != 0 {
		t.Error("what the hello said is told again before it is answered")
	}
	agent.acked(hello, refusal)
	again := agent.look(t)
	if again == 0 {
		t.Fatal("the report of a hello was not taken, and is not told again")
	}
	agent.acked(hello, refusal) // is no word on the one that is under way
	if id := agent.look(t); id != 0 {
		t.Error("a report is told again before it is answered")
	}
	agent.acked(again, refusal)
	again = agent.look(t)
	if again == 0 {
		t.Fatal("a report was not taken, and is not told again")
	}
	agent.acked(again, hostproto.Ack{})
	if id := agent.look(t); id != 0 {
		t.Error("what was taken is told again")
	}
}

// Somebody in the network held the control plane's answers back, each a little longer than the one before. The agent took
// each for the answer to its latest question: it believed the control plane's clock to stand minutes behind, and let keys in
// for as long after their end.
func TestLateAnswersDoNotSlowTheClock(t *testing.T) {
	agent, _ := newTalker(t)
	var uptime time.Duration
	agent.Clock = NewClock(func() time.Duration { return uptime })
	agent.Clock.Start(hostproto.Clocks{Time: time.Now()}, 0, 0)
	ping := func() (id uint64) {
		t.Helper()
		if err := agent.ping(); err != nil {
			t.Fatal(err)
		}
		return (<-agent.said).ID
	}
	uptime = 7 * time.Second
	first := hostproto.Message{ID: ping(), Pong: &hostproto.Pong{}, Clocks: &hostproto.Clocks{Time: time.Now(), Uptime: uptime}}
	uptime = 14 * time.Second
	second := ping()
	agent.pong(first)
	if at := agent.Clock.Reaches(time.Minute); at != time.Minute {
		t.Errorf("a key that ends after a minute would end after %v", at)
	}
	agent.pong(hostproto.Message{ID: second, Pong: &hostproto.Pong{}, Clocks: &hostproto.Clocks{Time: time.Now(), Uptime: 15 * time.Second}})
	if at := agent.Clock.Reaches(time.Minute); at != 59*time.Second {
		t.Errorf("the answer to the last question does not count: %v", at)
	}
}
