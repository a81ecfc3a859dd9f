package host

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/uuid"
)

// Bounds on the search for the connection that sshd asks about, for which the keys helper waits.
const (
	findTimeout  = 300 * time.Millisecond
	maxAncestors = 8
)

// listeningKnown is how long a port is remembered as one that is listened on.
const listeningKnown = time.Minute

// sshConnection is the connection for which sshd runs the keys helper, as the kernel knows it. The zero value means
// that it was not found.
type sshConnection struct {
	client  netip.AddrPort // the other end, as sshd sees it; the last jump host if there is one
	process string         // identifies sshd's process of this connection among all of this machine
	inode   string         // the socket
}

// eventID returns the same id for all questions about the key on one connection, since sshd asks twice for one login.
// The control plane then has one event of the login, even if the agent was restarted in between. If the connection was
// not found, each id is new.
func (c sshConnection) eventID(now time.Time, random io.Reader, instanceID, user, fingerprint string) string {
	if c == (sshConnection{}) {
		return uuid.New(now, random)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q",
		[]string{instanceID, c.process, c.inode, c.client.String(), user, fingerprint}))
	return uuid.New(time.UnixMilli(int64(binary.BigEndian.Uint32(sum[16:]))), bytes.NewReader(sum[:]))
}

// connections finds the connections of sshd processes. The zero value is ready for use. It is safe for concurrent use.
type connections struct {
	mu    sync.Mutex
	known listeningPorts
}

// find returns the connection for which the process asks: the one that its nearest ancestor with an accepted connection
// has accepted. sshd has a process for each connection, and runs the helper as its child (sshd_config(5),
// AuthorizedKeysCommand). If that ancestor has accepted several connections, as no sshd does, find returns the zero
// value.
func (c *connections) find(proc string, pid int) sshConnection {
	deadline := time.Now().Add(findTimeout)
	for range maxAncestors {
		parent, _ := readProcess(proc, pid)
		if parent <= 1 {
			return sshConnection{}
		}
		if accepted := c.acceptedBy(proc, parent, deadline); len(accepted) == 1 {
			_, started := readProcess(proc, parent)
			boot := readAtOnce(filepath.Join(proc, "sys/kernel/random/boot_id"))
			return sshConnection{
				client: accepted[0].remote, inode: accepted[0].inode,
				process: fmt.Sprintf("%s %d %s", bytes.TrimSpace(boot), parent, started),
			}
		} else if len(accepted) > 1 {
			return sshConnection{}
		}
		pid = parent
	}
	return sshConnection{}
}

// acceptedBy returns the process's connections whose local port is listened on in the process's network namespace. The
// connection that a library opened, for example to LDAP, has a local port that is not.
func (c *connections) acceptedBy(proc string, pid int, deadline time.Time) []socketLine {
	process := filepath.Join(proc, strconv.Itoa(pid))
	sockets := socketsOf(process)
	if len(sockets) == 0 {
		return nil
	}
	connected, err := connectedBy(pid, sockets)
	if err != nil {
		connected = connectedByTables(process, sockets, deadline)
	}
	if len(connected) == 0 {
		return nil
	}
	return c.listened(process, connected, deadline)
}

// readProcess returns a process's parent and its start time, in clock ticks since the boot: proc_pid_stat(5).
func readProcess(proc string, pid int) (parent int, started string) {
	text := readAtOnce(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	// The name, in parentheses, can contain anything, even spaces and parentheses.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const ppid, starttime = 4 - 3, 22 - 3 // numbered from 1 there; field 3 is the first after the name
	if len(fields) <= starttime {
		return 0, ""
	}
	parent, _ = strconv.Atoi(fields[ppid])
	return parent, fields[starttime]
}

// readAtOnce returns the contents of a short file of the kernel's, with a third of the system calls of os.ReadFile; nil
// if it cannot be read.
func readAtOnce(path string) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	text := make([]byte, 1<<10)
	n, err := unix.Read(fd, text)
	if err != nil {
		return nil
	}
	return text[:n]
}

// socketsOf returns the file descriptors of the process's sockets, by their inodes.
func socketsOf(process string) map[string]int {
	directory := filepath.Join(process, "fd")
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil
	}
	sockets := make(map[string]int)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(directory, entry.Name()))
		if inode, isSocket := strings.CutPrefix(target, "socket:["); err == nil && isSocket {
			sockets[strings.TrimSuffix(inode, "]")], _ = strconv.Atoi(entry.Name())
		}
	}
	return sockets
}

// connectedBy returns which of the process's sockets are TCP connections. It asks each socket, with pidfd_getfd(2),
// Linux 5.6: reading the kernel's tables takes milliseconds, however few connections there are.
func connectedBy(pid int, sockets map[string]int) ([]socketLine, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(process)
	var connected []socketLine
	for inode, descriptor := range sockets {
		fd, err := unix.PidfdGetfd(process, descriptor, 0)
		if errors.Is(err, unix.EBADF) {
			continue // the socket was closed meanwhile
		}
		if err != nil {
			return nil, err
		}
		kind, typeErr := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		local, localErr := unix.Getsockname(fd)
		remote, remoteErr := unix.Getpeername(fd)
		unix.Close(fd)
		if errors.Join(typeErr, localErr, remoteErr) != nil || kind != unix.SOCK_STREAM {
			continue
		}
		line := socketLine{local: addressOf(local), remote: addressOf(remote), inode: inode}
		if line.local.IsValid() && line.remote.IsValid() {
			connected = append(connected, line)
		}
	}
	return connected, nil
}

// addressOf returns the address and port; the zero value if the socket is not an IP socket.
func addressOf(address unix.Sockaddr) netip.AddrPort {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// connectedByTables does what connectedBy does, for kernels that are older or do not permit pidfd_getfd.
func connectedByTables(process string, sockets map[string]int, deadline time.Time) []socketLine {
	var connected []socketLine
	for line := range socketLines(process, deadline) {
		if _, ours := sockets[line.inode]; ours && !line.listens {
			connected = append(connected, line)
		}
	}
	return connected
}

// listeningPorts are the ports that were listened on in a network namespace at a time.
type listeningPorts struct {
	namespace string
	read      time.Time
	ports     map[uint16]bool
}

// listened returns the connections whose local port is listened on in the process's network namespace, or was within
// listeningKnown.
func (c *connections) listened(process string, connected []socketLine, deadline time.Time) []socketLine {
	namespace, err := os.Readlink(filepath.Join(process, "ns/net"))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.known.namespace == namespace && time.Since(c.known.read) < listeningKnown {
		if accepted := c.known.among(connected); len(accepted) > 0 {
			return accepted
		}
	}
	c.known = listeningPorts{namespace: namespace, read: time.Now(), ports: make(map[uint16]bool)}
	for line := range socketLines(process, deadline) {
		if line.listens {
			c.known.ports[line.local.Port()] = true
		}
	}
	return c.known.among(connected)
}

// among returns the connections whose local port is listened on.
func (k listeningPorts) among(connected []socketLine) []socketLine {
	var accepted []socketLine
	for _, line := range connected {
		if k.ports[line.local.Port()] {
			accepted = append(accepted, line)
		}
	}
	return accepted
}

// socketLines returns the TCP sockets in the process's network namespace, until the deadline.
func socketLines(process string, deadline time.Time) iter.Seq[socketLine] {
	return func(yield func(socketLine) bool) {
		for _, table := range []string{"net/tcp", "net/tcp6"} {
			file, err := os.Open(filepath.Join(process, table))
			if err != nil {
				continue // for example a kernel without IPv6
			}
			defer file.Close()
			for lines := bufio.NewScanner(file); lines.Scan() && time.Now().Before(deadline); {
				if line, ok := parseSocket(lines.Text()); ok && !yield(line) {
					return
				}
			}
		}
	}
}

// socketLine is a line of /proc/net/tcp or tcp6: proc_pid_net(5).
type socketLine struct {
	local, remote netip.AddrPort
	listens       bool
	inode         string
}

func parseSocket(line string) (socketLine, bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return socketLine{}, false
	}
	local, ok := parseSocketAddress(fields[1])
	remote, remoteOK := parseSocketAddress(fields[2])
	const listen = "0A" // TCP_LISTEN
	socket := socketLine{local: local, remote: remote, listens: fields[3] == listen, inode: fields[9]}
	return socket, ok && remoteOK && socket.inode != "0"
}

// parseSocketAddress parses "0100007F:0016": each 32 bits of the address as a number in the machine's byte order, then
// the port.
func parseSocketAddress(text string) (netip.AddrPort, bool) {
	words, portText, _ := strings.Cut(text, ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	if err != nil || len(words) != 8 && len(words) != 32 {
		return netip.AddrPort{}, false
	}
	var raw []byte
	for ; words != ""; words = words[8:] {
		word, err := strconv.ParseUint(words[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		raw = binary.NativeEndian.AppendUint32(raw, uint32(word))
	}
	address, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(address.Unmap(), uint16(port)), ok
}
