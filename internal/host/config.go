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

// Default places. Everything that belongs to one enrollment is in its directory, beside its socket or beside its spool,
// so that a machine can have several enrollments. The directories of socket and spool are the enrollment's own and are
// removed with it. They are not in /var/lib/sallyport, where a control plane may have its data.
const (
	DefaultDirectory = "/etc/sallyport"
	DefaultSocket    = "/run/sallyport/host.sock"
	DefaultSpool     = "/var/lib/sallyport/host/releases"
)

// Files in an enrollment's directory.
const (
	ConfigFile    = "host.json"     // Config; 0644
	KeyFile       = "agent.key"     // the agent's Ed25519 key, PKCS#8 in PEM; 0600
	AuthorityFile = "authority.pem" // the certificate of the authority pinned at enrollment; 0644
)

// Config is a machine's configuration of one enrollment. Whoever can change it decides whose keys sshd accepts, so it
// belongs to root. Everybody may read it.
type Config struct {
	Server     string `json:"server"` // https://HOST:PORT of the control plane
	InstanceID string `json:"instanceId"`
	Account    string `json:"account"`
	Region     string `json:"region"`
	Zone       string `json:"zone"`

	Socket string `json:"socket,omitempty"` // where the keys helper finds the agent; DefaultSocket if empty
	Spool  string `json:"spool,omitempty"`  // releases not yet in the trail; DefaultSpool if empty
	// the user that sshd runs the keys helper as; only that user and root may ask the agent
	KeysUser string `json:"keysUser,omitempty"`

	// Parts of the report about sshd, for what the agent cannot or should not find out by itself.
	SSHPort   int          `json:"sshPort,omitempty"`   // as sshd says if zero
	Addresses []netip.Addr `json:"addresses,omitempty"` // instead of the machine's own
	// the sshd_config(5) that names the host keys; sshd's default if empty
	SSHDConfig   string   `json:"sshdConfig,omitempty"`
	HostKeyFiles []string `json:"hostKeyFiles,omitempty"` // of public keys; those that sshd names if empty
}

// Places returns the default socket and spool of an enrollment in the directory.
func Places(directory string) (socket, spool string) {
	if directory == DefaultDirectory {
		return DefaultSocket, DefaultSpool
	}
	return filepath.Join(directory, "run", "host.sock"), filepath.Join(directory, "spool", "releases")
}

// ProcessRecord returns the file in which the agent that serves the socket records its process, for daemon.ReadRecord.
// It is beside the socket, so that whoever can reach the one can read the other.
func ProcessRecord(socket string) string { return filepath.Join(filepath.Dir(socket), "agent.process") }

// LogFile is the log of an agent that runs as a process of its own, in the enrollment's directory.
const LogFile = "agent.log"

// Files returns the files that an enrollment owns. Any other file in their directories is somebody else's.
func Files(directory string) []string {
	socket, spool := Places(directory)
	return []string{
		filepath.Join(directory, ConfigFile), filepath.Join(directory, KeyFile), filepath.Join(directory, AuthorityFile),
		filepath.Join(directory, LogFile), socket, ProcessRecord(socket), spool,
	}
}

// ErrNotEnrolled reports that the directory has no enrollment.
var ErrNotEnrolled = errors.New("host: this machine is not enrolled")

// Load reads the Config of the enrollment in the directory and fills in the defaults. The error is ErrNotEnrolled
// (wrapped) if there is none. An unknown key is an error.
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

// Save writes the Config to the directory, which it creates if necessary. The file is replaced as a whole.
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
