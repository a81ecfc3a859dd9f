package host

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/uuid"
)

// The bounds of the search for the connection that sshd asks about. The keys helper waits meanwhile.
const (
	findTimeout  = 300 * time.Millisecond
	maxAncestors = 8
)

// sshConnection is the connection for which sshd runs the keys helper, as the kernel knows it. The zero value is one
// that was not found.
type sshConnection struct {
	client  netip.AddrPort // the other end, as sshd sees it: behind a jump host, the jump host
	process string         // sshd's process of this connection, unlike any other on this machine
	inode   string         // the socket
}

// eventID is the same for every question that is asked for the connection about the key, since sshd asks twice for one
// login. A control plane that is told twice has one event, also if the agent was killed in between. Each question
// for a connection that was not found has an id of its own.
func (c sshConnection) eventID(now time.Time, random io.Reader, instanceID, user, fingerprint string) string {
	if c == (sshConnection{}) {
		return uuid.New(now, random)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{instanceID, c.process, c.inode, c.client.String(), user, fingerprint}))
	return uuid.New(time.UnixMilli(int64(binary.BigEndian.Uint32(sum[16:]))), bytes.NewReader(sum[:]))
}

// findConnection finds the connection for which the process asks: that of the nearest of its ancestors that has accepted
// one. sshd has a process for each connection, and runs the helper as its child (sshd_config(5), AuthorizedKeysCommand).
// If an ancestor has accepted several, as no sshd has, nobody can say which is meant, and the result is the zero value.
func findConnection(proc string, pid int) sshConnection {
	deadline := time.Now().Add(findTimeout)
	for range maxAncestors {
		parent, _ := readProcess(proc, pid)
		if parent <= 1 {
			return sshConnection{}
		}
		if sockets := socketsOf(proc, parent); len(sockets) > 0 {
			accepted := acceptedBy(filepath.Join(proc, strconv.Itoa(parent)), sockets, deadline)
			if len(accepted) == 1 {
				_, started := readProcess(proc, parent)
				boot, _ := os.ReadFile(filepath.Join(proc, "sys/kernel/random/boot_id"))
				accepted[0].process = fmt.Sprintf("%s %d %s", bytes.TrimSpace(boot), parent, started)
				return accepted[0]
			}
			if len(accepted) > 1 {
				return sshConnection{}
			}
		}
		pid = parent
	}
	return sshConnection{}
}

// readProcess returns a process's parent and when it was started, in ticks since the boot: proc_pid_stat(5).
func readProcess(proc string, pid int) (parent int, started string) {
	text, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, ""
	}
	// The name, in parentheses, may hold anything, spaces and parentheses too.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const ppid, starttime = 4 - 3, 22 - 3 // counted from 1 there, and the third is the first after the name
	if len(fields) <= starttime {
		return 0, ""
	}
	parent, _ = strconv.Atoi(fields[ppid])
	return parent, fields[starttime]
}

// socketsOf returns the inodes of the sockets that the process has open.
func socketsOf(proc string, pid int) map[string]bool {
	directory := filepath.Join(proc, strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil
	}
	sockets := make(map[string]bool)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(directory, entry.Name()))
		if inode, isSocket := strings.CutPrefix(target, "socket:["); err == nil && isSocket {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return sockets
}

// acceptedBy returns those of a process's sockets that are connections to a port that is listened on, in the process's own
// network namespace. A connection that a library opened, to LDAP for example, has a port of its own.
func acceptedBy(process string, sockets map[string]bool, deadline time.Time) []sshConnection {
	listening := make(map[uint16]bool)
	connected := make(map[uint16][]sshConnection) // by the local port
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		file, err := os.Open(filepath.Join(process, table))
		if err != nil {
			continue // there is no IPv6, for example
		}
		for lines := bufio.NewScanner(file); lines.Scan() && time.Now().Before(deadline); {
			line, ok := parseSocket(lines.Text())
			switch {
			case !ok:
			case line.listens:
				listening[line.local.Port()] = true
			case sockets[line.inode]:
				port := line.local.Port()
				connected[port] = append(connected[port], sshConnection{client: line.remote, inode: line.inode})
			}
		}
		file.Close()
	}
	var accepted []sshConnection
	for port, connections := range connected {
		if listening[port] {
			accepted = slices.Concat(accepted, connections)
		}
	}
	return accepted
}

// socketLine is what a line of /proc/net/tcp or tcp6 says: proc_pid_net(5).
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
	return socketLine{local: local, remote: remote, listens: fields[3] == listen, inode: fields[9]}, ok && remoteOK && fields[9] != "0"
}

// parseSocketAddress reads "0100007F:0016": each 32 bits of the address as a number of this machine's byte order, then the
// port.
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
