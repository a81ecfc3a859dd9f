// Package sshd examines a machine's OpenSSH server: how it understands a configuration, whether a user could still log
// in under it, and whether the running server has loaded it. The package writes none of the server's files. It affects
// the server only by Reload and Start, and by making the privilege separation directory if that is missing.
package sshd

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
)

// DefaultConfig is the system's sshd_config(5).
const DefaultConfig = "/etc/ssh/sshd_config"

// askTimeout bounds one run of sshd that only reads files and prints an answer.
const askTimeout = 20 * time.Second

// Server is an OpenSSH server program.
type Server struct {
	Program   string   // absolute path
	Arguments []string // Options.Arguments of the daemon, given with every configuration
}

// Find returns the machine's sshd. The error is a NotFound fault if there is none.
func Find() (Server, error) {
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd"} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return Server{Program: path}, nil
		}
	}
	return Server{}, fault.New(fault.NotFound, fault.Sshd,
		"This machine has no OpenSSH server. Install it (Debian: apt-get install openssh-server) and try again.")
}

// FindFor returns the program that the daemon of a configuration runs, with the daemon's own options, which affect how
// it understands the configuration. If none runs, the options are those of systemd's unit, which may start sshd for the
// first connection or for each. If that unit is for another configuration, FindFor returns what Find does. The errors
// are those of Find.
func FindFor(ctx context.Context, config, pidFile string) (Server, error) {
	server, err := Find()
	if err != nil {
		return Server{}, err
	}
	if pidFile == "" {
		// It fails on a configuration that is only valid with the daemon's options: then config alone finds the daemon.
		settings, _ := server.Effective(ctx, config, "")
		pidFile = settings.Get("pidfile")
	}
	running, ok := FindRunning(config, pidFile)
	started := running.Started
	if !ok {
		started, ok = findUnit(ctx)
		ok = ok && started.Config == config
	}
	if ok {
		server.Arguments = started.Arguments
		if _, err := os.Stat(started.Program); err == nil {
			server.Program = started.Program
		}
	}
	return server, nil
}

// Version is an OpenSSH release.
type Version struct{ Major, Minor int }

// HasInclude reports whether the release knows Include.
func (v Version) HasInclude() bool { return v.Major > 8 || v.Major == 8 && v.Minor >= 2 }

var versionPattern = regexp.MustCompile(`OpenSSH_([0-9]+)\.([0-9]+)`)

// Version returns the program's release. Every sshd prints it when it is called with an unknown flag, also before -V
// was an option (9.3).
func (s Server) Version(ctx context.Context) (Version, error) {
	_, stderr, _ := s.run(ctx, "-V")
	match := versionPattern.FindStringSubmatch(stderr)
	if match == nil {
		return Version{}, fault.New(fault.Unsupported, fault.Sshd,
			"%s does not say that it is OpenSSH, and only OpenSSH can be set up. It says: %s", s.Program, firstLine(stderr))
	}
	major, _ := strconv.Atoi(match[1])
	minor, _ := strconv.Atoi(match[2])
	return Version{major, minor}, nil
}

// Check runs sshd -t. The error is a WrongState fault that quotes sshd's objections.
func (s Server) Check(ctx context.Context, config string) error {
	_, stderr, err := s.ask(ctx, config, "-t")
	if err != nil {
		return fault.Wrap(err, fault.WrongState, fault.Sshd,
			"sshd does not accept the configuration %s: %s", config, complaint(stderr, err))
	}
	return nil
}

// Effective runs sshd -T. It returns the settings for a user who connects from this machine; for no user, those outside
// of every Match block.
func (s Server) Effective(ctx context.Context, config, user string) (Settings, error) {
	return s.EffectiveFrom(ctx, config, user, "localhost", "127.0.0.1")
}

// EffectiveFrom is Effective for a user who connects from the host and address.
func (s Server) EffectiveFrom(ctx context.Context, config, user, host, address string) (Settings, error) {
	arguments := []string{"-T"}
	if user != "" {
		arguments = append(arguments, "-C", "user="+user+",host="+host+",addr="+address+",laddr=127.0.0.1,lport=22")
	}
	stdout, stderr, err := s.ask(ctx, config, arguments...)
	if err != nil {
		return nil, fault.Wrap(err, fault.WrongState, fault.Sshd,
			"sshd cannot work with the configuration %s: %s", config, complaint(stderr, err))
	}
	return parseSettings(stdout), nil
}

// ask runs sshd with the arguments on the configuration. It makes the privilege separation directory if that is
// missing.
func (s Server) ask(ctx context.Context, config string, arguments ...string) (stdout, stderr string, err error) {
	arguments = append(append(arguments, "-f", config), s.Arguments...)
	for range maxMissing {
		stdout, stderr, err = s.run(ctx, arguments...)
		if err == nil || !madeMissingDirectory(stderr) {
			break
		}
	}
	return stdout, stderr, err
}

// maxMissing is how often one run of ask may find the directory missing.
const maxMissing = 10

// missingDirectory matches sshd's complaint, at its start or during a login, that its privilege separation directory is
// missing. During a login sshd complains of a ChrootDirectory in the same words, but not of one in /run.
var missingDirectory = regexp.MustCompile(
	`Missing privilege separation directory: (/[^\r\n]+)|chroot\("((?:/var)?/run/[^"/]+)"\): No such file`)

// madeMissingDirectory makes the privilege separation directory if sshd said that it is missing, and reports whether it
// did. Without it an sshd that does not run answers no question. The directory is empty, is on a file system that a
// boot empties, and is normally made by the service that starts sshd. It stays, as an sshd that has started since needs
// it. Where systemd starts an sshd for each connection, as with Debian 11's ssh.socket, it removes the directory
// whenever one ends.
func madeMissingDirectory(said string) bool {
	match := missingDirectory.FindStringSubmatch(said)
	if match == nil {
		return false
	}
	err := os.Mkdir(match[1]+match[2], 0o755)
	return err == nil || errors.Is(err, fs.ErrExist)
}

func (s Server) run(ctx context.Context, arguments ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Program, arguments...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return out.String(), errs.String(), err
}

// complaint returns what sshd said, on one line, or why it said nothing.
func complaint(stderr string, err error) string {
	said := strings.Join(strings.FieldsFunc(stderr, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	if said == "" {
		return err.Error()
	}
	return said
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
