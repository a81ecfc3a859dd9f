package sshd

import (
	"bufio"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Answered reports whether a process on this machine waits for connections at one of sshd's ports: the daemon, or a
// program that starts one for each connection. It returns true if the kernel's list cannot be read.
func (s Settings) Answered() bool {
	ports := map[uint64]bool{}
	for _, value := range s["port"] {
		if port, err := strconv.ParseUint(value, 10, 16); err == nil {
			ports[port] = true
		}
	}
	for _, value := range s["listenaddress"] {
		if address, err := netip.ParseAddrPort(value); err == nil {
			ports[uint64(address.Port())] = true
		}
	}
	told := false
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue
		}
		defer file.Close()
		told = true
		for lines := bufio.NewScanner(file); lines.Scan(); { // proc_pid_net(5): "sl local_address rem_address st …"
			const local, state, listen = 1, 3, "0A"
			fields := strings.Fields(lines.Text())
			if len(fields) <= state || fields[state] != listen {
				continue
			}
			_, port, _ := strings.Cut(fields[local], ":")
			if number, err := strconv.ParseUint(port, 16, 16); err == nil && ports[number] {
				return true
			}
		}
	}
	return !told || len(ports) == 0
}
