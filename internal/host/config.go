package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/fault"
)

// Where an enrollment keeps its things unless told otherwise. Everything of one enrollment stands under its
// directory, beside its socket and its spool, so that several can live on one machine. The directories of socket and
// spool are the enrollment's alone and go with it: in /var/lib/sallyport a control plane may have its data.
const (
	DefaultDirectory = "/etc/sallyport"
	DefaultSocket    = "/run/sallyport/host.sock"
	DefaultSpool     = "/var/lib/sallyport/host/releases"
)

// The files of an enrollment's directory.
const (
	ConfigFile    = "host.json"     // Config; 0644
	KeyFile       = "agent.key"     // the agent's Ed25519 key, PKCS#8 in PEM; 0600
	AuthorityFile = "authority.pem" // the certificate authority pinned at enrollment; 0644
)

// Config is an enrollment as its machine knows it. Whoever may change it decides whose keys sshd accepts: it
// belongs to root, and anybody may read it.
type Config struct {
	Server     string `json:"server"` // https://HOST:PORT of the control plane
	InstanceID string `json:"instanceId"`
	Account    string `json:"account"`
	Region     string `json:"region"`
	Zone       string `json:"zone"`

	Socket string `json:"socket,omitempty"` // where the keys helper finds the agent; DefaultSocket if empty
	Spool  string `json:"spool,omitempty"`  // releases not yet in the trail; DefaultSpool if empty
	// whom sshd runs the keys helper as; only that user and root may ask the agent
	KeysUser string `json:"keysUser,omitempty"`

	// What the report says of sshd, where the agent cannot or shall not find out by itself.
	SSHPort   int          `json:"sshPort,omitempty"`   // sshd's own if zero
	Addresses []netip.Addr `json:"addresses,omitempty"` // instead of the machine's own
	// sshd_config(5) that names the host keys; sshd's own default if empty
	SSHDConfig   string   `json:"sshdConfig,omitempty"`
	HostKeyFiles []string `json:"hostKeyFiles,omitempty"` // public keys, instead of those sshd names
}

// Places returns where an enrollment under the directory keeps its socket and its spool.
func Places(directory string) (socket, spool string) {
	if directory == DefaultDirectory {
		return DefaultSocket, DefaultSpool
	}
	return filepath.Join(directory, "run", "host.sock"), filepath.Join(directory, "spool", "releases")
}

// ProcessRecord returns the file in which the agent that serves the socket names its process, for daemon.ReadRecord.
// It stands beside the socket: whoever can reach the one can read the other.
func ProcessRecord(socket string) string { return filepath.Join(filepath.Dir(socket), "agent.process") }

// LogFile is what an agent that runs as a process of its own writes its log to, in the enrollment's directory.
const LogFile = "agent.log"

// Files returns the files that an enrollment's agent keeps, and its identity: whatever else is in their directories
// is somebody else's.
func Files(directory string) []string {
	socket, spool := Places(directory)
	return []string{
		filepath.Join(directory, ConfigFile), filepath.Join(directory, KeyFile), filepath.Join(directory, AuthorityFile),
		filepath.Join(directory, LogFile), socket, ProcessRecord(socket), spool,
	}
}

// ErrNotEnrolled says that the directory holds no enrollment.
var ErrNotEnrolled = errors.New("host: this machine is not enrolled")

// Load reads the enrollment in the directory and fills in the defaults. It returns ErrNotEnrolled (wrapped) if
// there is none. A key the Config does not know is an error.
func Load(directory string) (Config, error) {
	path := filepath.Join(directory, ConfigFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("%w: there is no %s", ErrNotEnrolled, path)
	}
	if err != nil {
		return Config{}, err
	}
	var config Config
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if config.Socket == "" {
		config.Socket = DefaultSocket
	}
	if config.Spool == "" {
		config.Spool = DefaultSpool
	}
	if err := config.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// Save writes the Config to the directory, which it makes if it must. The file changes as a whole or not at
// all.
func (c Config) Save(directory string) error {
	if err := c.check(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(directory, ConfigFile), append(text, '\n'), 0o644)
}

func (c Config) check() error {
	server, err := url.Parse(c.Server)
	if err != nil || server.Scheme != "https" || server.Host == "" {
		return fault.New(fault.Invalid, fault.Server, "The server must be an https URL with a host, not %q.", c.Server)
	}
	if c.InstanceID == "" {
		return fault.New(fault.Missing, fault.InstanceID, "The instance id is missing.")
	}
	if c.SSHPort < 0 || c.SSHPort > 65535 {
		return fault.New(fault.Invalid, fault.Parameter, "%d is no port.", c.SSHPort)
	}
	return nil
}
