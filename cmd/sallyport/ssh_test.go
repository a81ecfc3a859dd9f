package main

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A machine with a container bridge, a VPN and an address behind NAT reports them all. From elsewhere most do not
// answer, and each used to delay ssh by three seconds.
func TestSilentAddressesHoldNobodyUp(t *testing.T) {
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	_, port, err := net.SplitHostPort(open.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	silence(t, [4]byte{127, 0, 0, 2}, open.Addr().(*net.TCPAddr).Port)
	began := time.Now()
	got, err := reachable(t.Context(), []string{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, port)
	if err != nil || got != "127.0.0.1" {
		t.Errorf("reachable is %q, %v", got, err)
	}
	if took := time.Since(began); took >= knockTime {
		t.Errorf("it took %v", took)
	}
	got, err = reachable(t.Context(), []string{"127.0.0.3", "127.0.0.4"}, port)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.4") {
		t.Errorf("where nobody listens: %q, %v", got, err)
	}
}

// silence makes the address answer no connection, by a full queue of connections that are not yet accepted.
func silence(t *testing.T, address [4]byte, port int) {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Port: port, Addr: address}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	target := net.TCPAddr{IP: address[:], Port: port}
	for range 8 {
		conn, err := net.DialTimeout("tcp", target.String(), 100*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue of connections does not fill")
}
