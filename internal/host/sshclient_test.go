package host

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

func TestParseSocket(t *testing.T) {
	if binaryIsBig() {
		t.Skip("the lines are those of a little-endian machine")
	}
	for line, want := range map[string]socketLine{
		"   0: 0100007F:0016 0200007F:D431 01 00000000:00000000 02:000AFC80 00000000     0        0 4242 2 0": {
			local: netip.MustParseAddrPort("127.0.0.1:22"), remote: netip.MustParseAddrPort("127.0.0.2:54321"), inode: "4242"},
		"   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0": {
			local:  netip.MustParseAddrPort("0.0.0.0:22"),
			remote: netip.MustParseAddrPort("0.0.0.0:0"), listens: true, inode: "7"},
		"   1: 0000000000000000FFFF00000100007F:0016 0000000000000000FFFF0000050200C0:D431 01 0:0 0:0 0 0 0 9 1 0": {
			local: netip.MustParseAddrPort("127.0.0.1:22"), remote: netip.MustParseAddrPort("192.0.2.5:54321"), inode: "9"},
		"   1: 00000000000000000000000001000000:0016 B80D0120000000000000000001000000:D431 08 0:0 0:0 0 0 0 9 1 0": {
			local: netip.MustParseAddrPort("[::1]:22"), remote: netip.MustParseAddrPort("[2001:db8::1]:54321"), inode: "9"},
	} {
		if got, ok := parseSocket(line); !ok || got != want {
			t.Errorf("%s: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{
		"", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		"0: 0100007F:0016 0200007F:D431 06 0:0 0:0 0 0 0 0 1 0", // no longer any process's
		"0: 0100007F 0200007F:D431 01 0:0 0:0 0 0 0 1 1 0", "0: 0100007F:0016 :D431 01 0:0 0:0 0 0 0 1 1 0",
		"0: 010000zz:0016 0200007F:D431 01 0:0 0:0 0 0 0 1 1 0", "0: 0100007F:10016 0200007F:D431 01 0:0 0:0 0 0 0 1 1 0",
	} {
		if got, ok := parseSocket(line); ok {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func binaryIsBig() bool {
	a, _ := parseSocketAddress("00000001:0000")
	return a.Addr() == netip.MustParseAddr("0.0.0.1")
}

func FuzzParseSocket(f *testing.F) {
	f.Add("   0: 0100007F:0016 0200007F:D431 01 00000000:00000000 02:000AFC80 00000000     0        0 4242 2 0")
	f.Fuzz(func(t *testing.T, line string) {
		if got, ok := parseSocket(line); ok && (!got.local.IsValid() || !got.remote.IsValid() || got.inode == "") {
			t.Errorf("%q: %+v", line, got)
		}
	})
}

// The test is the process that accepted a connection, as sshd does. A child of its child asks, as through a wrapper.
func TestFindConnection(t *testing.T) {
	var seen connections
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	cmd := exec.Command("sh", "-c", "sleep 600 & echo $!; wait")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	text := make([]byte, 20)
	n, err := out.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	asker := mustAtoi(t, string(text[:n]))
	defer func() {
		if p, err := os.FindProcess(asker); err == nil {
			p.Kill()
		}
	}()
	accept := func() (client netip.AddrPort, hangUp func()) {
		dialed, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return netip.MustParseAddrPort(accepted.RemoteAddr().String()), func() { dialed.Close(); accepted.Close() }
	}
	// The test also has the dialed end, whose local port is not listened on, like that of a library's connection.
	client, hangUp := accept()
	got := seen.find("/proc", asker)
	if got.client != client {
		t.Errorf("found %+v, want the client %v", got, client)
	}
	now := time.Now()
	id := func(c sshConnection, user, fingerprint string) string {
		return c.eventID(now, rand.Reader, instanceID, user, fingerprint)
	}
	if again := seen.find("/proc", asker); id(again, "u", "f") != id(got, "u", "f") {
		t.Error("two questions for one connection are two events")
	}
	if id(got, "u", "f") == id(got, "u", "g") || id(got, "u", "f") == id(got, "v", "f") {
		t.Error("two keys or users are one event")
	}
	_, hangUpToo := accept()
	if got := seen.find("/proc", asker); got != (sshConnection{}) {
		t.Errorf("of two connections of one process: %+v", got)
	}
	hangUp()
	next := seen.find("/proc", asker)
	hangUpToo()
	if next.client == client || id(next, "u", "f") == id(got, "u", "f") {
		t.Errorf("the next connection of the same process is the same event: %+v", next)
	}
	if first := id(sshConnection{}, "u", "f"); first == id(sshConnection{}, "u", "f") {
		t.Error("questions for connections that were not found are one event")
	}
}

// A kernel that does not show another process's sockets has tables of all connections, which say the same.
func TestConnectionsByTables(t *testing.T) {
	listener, err := net.Listen("tcp", "[::]:0") // so that IPv4 addresses are written as IPv6 ones
	if err != nil {
		prerequisite.Missing(t, "IPv6: ", err)
	}
	defer listener.Close()
	dialed, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", listener.Addr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	const process = "/proc/self"
	sockets, deadline := socketsOf(process), time.Now().Add(wait.Patience)
	asked, err := connectedBy(os.Getpid(), sockets)
	if err != nil {
		prerequisite.Missing(t, "pidfd_getfd(2): ", err)
	}
	read := connectedByTables(process, sockets, deadline)
	for _, found := range [][]socketLine{asked, read} {
		slices.SortFunc(found, func(a, b socketLine) int { return strings.Compare(a.inode, b.inode) })
	}
	if len(read) < 2 || !slices.Equal(asked, read) {
		t.Errorf("the sockets say %+v, the tables %+v", asked, read)
	}
	var seen connections
	got := seen.listened(process, asked, deadline)
	if len(got) != 1 || got[0].remote.String() != dialed.LocalAddr().String() {
		t.Errorf("accepted is %+v, want the connection from %v", got, dialed.LocalAddr())
	}
}

func mustAtoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
