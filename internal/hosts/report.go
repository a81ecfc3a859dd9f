package hosts

import (
	"cmp"
	"encoding/base64"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// Report is what an agent says of its machine.
type Report struct {
	Hostname     string       `json:"hostname"`
	OS           string       `json:"os"`           // PRETTY_NAME of os-release(5)
	Architecture string       `json:"architecture"` // as EC2 has it: x86_64, arm64
	Addresses    []netip.Addr `json:"addresses"`    // where sshd can be reached, best first
	SSHPort      int          `json:"sshPort"`
	HostKeys     []string     `json:"hostKeys"` // "TYPE BASE64"
	Users        []string     `json:"users"`    // local users with a login shell
	Version      string       `json:"version"`  // the agent's
	KeyTypes     []string     `json:"keyTypes"` // types of public keys that sshd accepts; empty if the host does not say
	Problems     []string     `json:"problems"` // sentences that say why pushed keys do not work, or soon will not
	// Machine is a fingerprint of the machine, which tells the enrolled machine from a copy of it; "" if it has none.
	Machine string `json:"machine"`
}

// Bounds on a report. A host is somebody else's machine, and its report is shown in terminals, matched by filters and
// written to known_hosts files. So it is checked like any untrusted input.
const (
	maxAddresses = 64
	maxHostKeys  = 16
	maxUsers     = 1000
	maxText      = 128 // characters of OS and Version
	maxKeyTypes  = 32
	maxProblems  = 8
	maxProblem   = 300 // characters
)

var (
	hostname     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)
	architecture = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
	machine      = regexp.MustCompile(`^([0-9a-f]{64})?$`)
	keyType      = regexp.MustCompile(`^[a-z0-9@.-]{1,64}$`)
	osUser       = regexp.MustCompile(`^[\pL\pN_][\pL\pM\pN_.@+$\\-]{0,31}$`)
)

// ValidOSUser reports whether name may name an OS user: 1 to 32 characters, as in EC2 Instance Connect's API. They are
// letters and digits of any script, . _ - @ + $ and the backslash, which the names of domain users have. The first is a
// letter, a digit or _, so that no program takes the name for an option. No character ends a word or a line.
func ValidOSUser(name string) bool { return utf8.ValidString(name) && osUser.MatchString(name) }

// Report stores what the agent reports of its machine, with an event, if it differs from the last report in more than
// the order of keys and users. A report that is out of bounds is Invalid "host-report" and changes nothing.
func (s *Service) Report(tx *gate.Tx, id string, report Report) error {
	if err := tx.Check(); err != nil {
		return err
	}
	report, err := report.checked()
	if err != nil {
		return err
	}
	host, err := s.live(tx.Tx, id)
	if err != nil {
		return err
	}
	report.Machine = cmp.Or(host.Report.Machine, report.Machine) // the enrolled machine's stays
	changed := report.differences(host.Report)
	if len(changed) == 0 {
		tx.Silence()
		return nil
	}
	tx.Amend(func(e *trail.Event) {
		e.ServiceDetails = map[string]any{"instanceId": id, "changed": changed}
	})
	host.Report = report
	return table.Update(tx.Tx, &host)
}

// checked returns the report in its normal form: addresses without zones, and each address, host key and user once, the
// last two sorted. It drops user names that no request can name: a machine may have some.
func (r Report) checked() (Report, error) {
	bad := func(format string, args ...any) (Report, error) {
		return Report{}, fault.New(fault.Invalid, fault.HostReport, "The host's report is refused: "+format, args...)
	}
	switch {
	case !hostname.MatchString(r.Hostname):
		return bad("its host name is not one.")
	case !printable(r.OS, maxText) || !printable(r.Version, maxText):
		return bad("the OS and the agent's version must be printable text of at most %d characters.", maxText)
	case !architecture.MatchString(r.Architecture):
		return bad("its architecture is not one.")
	case r.SSHPort < 1 || r.SSHPort > 65535:
		return bad("%d is not a TCP port.", r.SSHPort)
	case !machine.MatchString(r.Machine):
		return bad("its machine's fingerprint is not one.")
	case len(r.Addresses) > maxAddresses:
		return bad("it has more than %d addresses.", maxAddresses)
	case len(r.HostKeys) > maxHostKeys:
		return bad("it has more than %d host keys.", maxHostKeys)
	case len(r.Users) > maxUsers:
		return bad("it has more than %d users.", maxUsers)
	case len(r.KeyTypes) > maxKeyTypes ||
		slices.ContainsFunc(r.KeyTypes, func(t string) bool { return !keyType.MatchString(t) }):
		return bad("its types of keys are not some of OpenSSH's, at most %d.", maxKeyTypes)
	case len(r.Problems) > maxProblems ||
		slices.ContainsFunc(r.Problems, func(p string) bool { return !printable(p, maxProblem) }):
		return bad("its problems must be at most %d, each printable text of at most %d characters.", maxProblems, maxProblem)
	}
	var addresses []netip.Addr
	for _, a := range r.Addresses {
		a = a.Unmap().WithZone("")
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return bad("%s is not the address of a machine.", a)
		}
		if !slices.Contains(addresses, a) {
			addresses = append(addresses, a)
		}
	}
	var keys []string
	for _, line := range r.HostKeys {
		key, ok := hostKey(line)
		if !ok {
			return bad("a host key is not of the form TYPE BASE64.")
		}
		keys = append(keys, key)
	}
	r.Addresses, r.HostKeys = addresses, sortedSet(keys)
	r.Users = sortedSet(slices.DeleteFunc(slices.Clone(r.Users), func(name string) bool { return !ValidOSUser(name) }))
	return r, nil
}

// hostKey returns the key encoded anew from its bytes, so that a known_hosts line made of it holds one key and nothing
// else.
func hostKey(line string) (string, bool) {
	kind, text, ok := strings.Cut(line, " ")
	if !ok || len(text) > 4096 {
		return "", false
	}
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", false
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil || key.Type() != kind {
		return "", false
	}
	if _, isCertificate := key.(*ssh.Certificate); isCertificate {
		return "", false
	}
	return kind + " " + base64.StdEncoding.EncodeToString(key.Marshal()), true
}

// differences returns the names of the fields, as in the report's JSON, that differ between r and old.
func (r Report) differences(old Report) []string {
	var names []string
	a, b := reflect.ValueOf(r), reflect.ValueOf(old)
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 {
			continue // the database does not keep nil and empty apart
		}
		if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			names = append(names, a.Type().Field(i).Tag.Get("json"))
		}
	}
	return names
}

// PrivateAddress returns the first IPv4 address that is not public, or the first public one if there is none. It is
// invalid if the machine has no IPv4 address.
func (r Report) PrivateAddress() netip.Addr {
	if a := r.best(func(a netip.Addr) bool { return a.Is4() && !public(a) }); a.IsValid() {
		return a
	}
	return r.PublicAddress()
}

// PublicAddress returns the first public IPv4 address. It is invalid if there is none.
func (r Report) PublicAddress() netip.Addr {
	return r.best(func(a netip.Addr) bool { return a.Is4() && public(a) })
}

// IPv6Address returns the first IPv6 address that is neither link-local nor loopback. It is invalid if there is none.
func (r Report) IPv6Address() netip.Addr {
	return r.best(func(a netip.Addr) bool { return a.Is6() && !a.IsLinkLocalUnicast() && !a.IsLoopback() })
}

func (r Report) best(fits func(netip.Addr) bool) netip.Addr {
	if i := slices.IndexFunc(r.Addresses, fits); i >= 0 {
		return r.Addresses[i]
	}
	return netip.Addr{}
}

// public reports whether an address is the Internet's. Addresses of carrier-grade NAT (RFC 6598) are not, although
// net/netip counts them as global.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a)
}

func printable(text string, most int) bool {
	return utf8.RuneCountInString(text) <= most && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// sortedSet returns the strings sorted, each once.
func sortedSet(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
