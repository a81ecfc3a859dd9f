package controlplane

import (
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/trail"
)

// The clock of the control plane's machine was a year ahead for ten minutes, and the whole trail was deleted.
func TestNothingIsForgottenByAClockThatIsAhead(t *testing.T) {
	machine := clocktest.New(time.Now())
	config := Config{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0"}
	var server *Server
	start := func() {
		t.Helper()
		var err error
		if server, err = Start(t.Context(), config, slog.New(slog.DiscardHandler), machine.Read, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	// forget does what the control plane does at intervals, and returns how many events are left.
	forget := func() int {
		t.Helper()
		server.forgetAt(t.Context(), server.settled.at(machine.Read()))
		events, err := trail.NewLog(server.database.DB).Events(t.Context(), trail.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	start()
	const year = 365 * 24 * time.Hour
	machine.Set(year)
	if forget() == 0 {
		t.Fatal("the trail was forgotten at once")
	}
	stopServer(t, server)
	start() // while the clock is ahead
	machine.Pass(10 * time.Minute)
	if forget() == 0 {
		t.Fatal("the trail was forgotten after a restart")
	}
	machine.Set(-year)
	for range 3 {
		machine.Pass(settling)
		if forget() == 0 {
			t.Fatal("the trail was forgotten after the clock was set right")
		}
	}
	machine.Set(year)
	for range 3 {
		machine.Pass(settling)
		forget()
	}
	if n := forget(); n != 0 {
		t.Errorf("a year later %d events are left", n)
	}
	stopServer(t, server)
}

// The machine was rebooted, and its clock was then an hour slow: sessions that had ended, according to the trail, were
// valid again for that hour.
func TestTheTrailKnowsWhatIsPast(t *testing.T) {
	machine := clocktest.New(time.Now())
	config := Config{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0"}
	start := func() *Server {
		t.Helper()
		server, err := Start(t.Context(), config, slog.New(slog.DiscardHandler), machine.Read, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	begun := machine.Read()
	begun.Time = begun.Time.Add(-20 * time.Minute)
	expires := begun.Time.Add(15 * time.Minute)
	stopServer(t, start()) // creating the root user's key leaves an event
	machine.Reboot()
	machine.Set(-10 * time.Minute)
	if machine.Read().Left(begun, expires) == 0 {
		t.Fatal("the clock alone knows that it is over, so nothing is shown")
	}
	server := start()
	if left := server.clock().Left(begun, expires); left != 0 {
		t.Errorf("what was over has %v left", left)
	}
	stopServer(t, server)
}
