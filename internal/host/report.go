package host

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// Bounds on a report, the same as the control plane's.
const (
	maxAddresses = 64
	maxUsers     = 1000
)

// Reporter makes reports of the machine. It is safe for concurrent use.
type Reporter struct {
	config  Config
	version string
	sshd    *Watch
}

// NewReporter returns a Reporter of the enrollment's machine. It knows sshd's configuration from watch. version is the
// agent's.
func NewReporter(config Config, version string, watch *Watch) *Reporter {
	return &Reporter{config: config, version: version, sshd: watch}
}

// Report describes the machine. It leaves empty what it cannot find out.
func (r *Reporter) Report(ctx context.Context) hostproto.Report {
	users, _ := LoginUsers("/etc/passwd")
	var userNames []string
	for _, user := range users[:min(len(users), maxUsers)] {
		userNames = append(userNames, user.Name)
	}
	name, _ := os.Hostname()
	view := r.sshd.Look(ctx)
	return hostproto.Report{
		Hostname:     hostName(name),
		OS:           osName("/etc/os-release", "/usr/lib/os-release"),
		Architecture: architecture(runtime.GOARCH),
		Addresses:    r.addresses(),
		SSHPort:      cmp.Or(r.config.SSHPort, int(view.Settings.Listens().Port()), 22),
		HostKeys:     publicKeys(r.hostKeyFiles(view)),
		Users:        userNames,
		Version:      r.version,
		KeyTypes:     view.Settings.KeyTypes(),
		Problems:     view.problems(),
		Machine:      fingerprint("/etc/machine-id", "/sys/class/dmi/id/product_uuid"),
	}
}

// addresses returns the configured addresses or, if there are none, the machine's own: first the one that the control
// plane sees, then the others that can be reached from elsewhere, IPv4 before IPv6.
func (r *Reporter) addresses() []string {
	found := r.config.Addresses
	if len(found) == 0 {
		found = ownAddresses()
		if first := addressTowards(r.config.Server); first.IsValid() && !first.IsLoopback() {
			found = slices.Insert(slices.DeleteFunc(found, func(a netip.Addr) bool { return a == first }), 0, first)
		}
	}
	var texts []string
	for _, a := range found[:min(len(found), maxAddresses)] {
		texts = append(texts, a.WithZone("").String())
	}
	return texts
}

// ownAddresses returns the addresses of all interfaces, IPv4 first, without loopback and link-local ones.
func ownAddresses() []netip.Addr {
	all, _ := net.InterfaceAddrs()
	var found []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() {
			found = append(found, prefix.Addr().Unmap())
		}
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	return slices.Compact(found)
}

// addressTowards returns the source address of packets to the server. It sends none, except to resolve the server's
// name.
func addressTowards(server string) netip.Addr {
	u, err := url.Parse(server)
	if err != nil {
		return netip.Addr{}
	}
	conn, err := net.DialTimeout("udp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")), 2*time.Second)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return local.Addr().Unmap()
}

// hostKeyFiles returns the files of the public host keys: those that are configured or, if there are none, those that
// sshd names or, if it names none, the usual ones.
func (r *Reporter) hostKeyFiles(view View) []string {
	if len(r.config.HostKeyFiles) > 0 {
		return r.config.HostKeyFiles
	}
	var files []string
	for _, file := range view.Settings["hostkey"] {
		files = append(files, file+".pub")
	}
	if len(files) > 0 {
		return files
	}
	usual, _ := filepath.Glob("/etc/ssh/ssh_host_*_key.pub")
	return usual
}

// publicKeys returns the keys in the files as "TYPE BASE64". It skips files that it cannot read, as sshd skips host
// keys that it does not have.
func publicKeys(files []string) []string {
	var keys []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if fields := strings.Fields(string(text)); err == nil && len(fields) >= 2 {
			keys = append(keys, fields[0]+" "+fields[1])
		}
	}
	return keys
}

// osName returns PRETTY_NAME of the first os-release(5) file that can be read.
func osName(files ...string) string {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(value, `"'`)
			}
		}
	}
	return "Linux"
}

// hostName turns a kernel's host name, which can be any text, into one that is valid in DNS.
func hostName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, name)
	return cmp.Or(strings.Trim(name, ".-_"), "localhost")
}

// architecture returns EC2's name of the architecture that Go calls goarch.
func architecture(goarch string) string {
	switch goarch {
	case "amd64":
		return "x86_64"
	case "386":
		return "i386"
	}
	return goarch
}
