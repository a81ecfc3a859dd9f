// Package sshd asks and checks a machine's OpenSSH server: what it would do with a configuration, whether
// somebody could still log in under it, and that the running one took it over. It writes no file of the server's;
// what it does to the server is in Reload and Start, and it makes the directory that sshd may miss.
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

// askTimeout bounds one question to sshd: it reads files and answers.
const askTimeout = 20 * time.Second

// Server is an OpenSSH server program.
type Server struct {
	Program   string   // absolute path
	Arguments []string // Options.Arguments of the daemon, with which every configuration is read
}

// Find returns the machine's sshd; NotFound if there is none.
func Find() (Server, error) {
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd"} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return Server{Program: path}, nil
		}
	}
	return Server{}, fault.New(fault.NotFound, fault.Sshd, "This machine has no OpenSSH server. Install it (Debian: apt-get install openssh-server) and try again.")
}

// FindFor returns the program that the daemon of a configuration runs, with the daemon's own options: what it does is
// known only with these. If none runs, they are those of systemd's unit, which may start sshd for the first connection,
// or for each, and if that is for another configuration what Find returns. The error is one of Find.
func FindFor(ctx context.Context, config, pidFile string) (Server, error) {
	server, err := Find()
	if err != nil {
		return Server{}, err
	}
	if pidFile == "" { // where the configuration does not pass without the options, the daemon is found by its own
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

// HasInclude tells whether the release knows Include.
func (v Version) HasInclude() bool { return v.Major > 8 || v.Major == 8 && v.Minor >= 2 }

var versionPattern = regexp.MustCompile(`OpenSSH_([0-9]+)\.([0-9]+)`)

// Version asks the program for its release. Every sshd prints it when it is called wrongly, which works before
// -V was an option (9.3) too.
func (s Server) Version(ctx context.Context) (Version, error) {
	_, stderr, _ := s.run(ctx, "-V")
	match := versionPattern.FindStringSubmatch(stderr)
	if match == nil {
		return Version{}, fault.New(fault.Unsupported, fault.Sshd, "%s does not say that it is OpenSSH, and only OpenSSH can be set up. It says: %s", s.Program, firstLine(stderr))
	}
	major, _ := strconv.Atoi(match[1])
	minor, _ := strconv.Atoi(match[2])
	return Version{major, minor}, nil
}

// Check runs sshd -t. The error is a WrongState fault that quotes what sshd objects to.
func (s Server) Check(ctx context.Context, config string) error {
	_, stderr, err := s.ask(ctx, config, "-t")
	if err != nil {
		return fault.Wrap(err, fault.WrongState, fault.Sshd, "sshd does not accept the configuration %s: %s", config, complaint(stderr, err))
	}
	return nil
}

// Effective runs sshd -T: what the configuration comes to for a user who connects from this machine; for no user,
// what holds outside of every Match block.
func (s Server) Effective(ctx context.Context, config, user string) (Settings, error) {
	return s.EffectiveFrom(ctx, config, user, "localhost", "127.0.0.1")
}

// EffectiveFrom is Effective for a user who connects from a host with the address.
func (s Server) EffectiveFrom(ctx context.Context, config, user, host, address string) (Settings, error) {
	arguments := []string{"-T"}
	if user != "" {
		arguments = append(arguments, "-C", "user="+user+",host="+host+",addr="+address+",laddr=127.0.0.1,lport=22")
	}
	stdout, stderr, err := s.ask(ctx, config, arguments...)
	if err != nil {
		return nil, fault.Wrap(err, fault.WrongState, fault.Sshd, "sshd cannot work with the configuration %s: %s", config, complaint(stderr, err))
	}
	return parseSettings(stdout), nil
}

// ask runs sshd with the arguments, for the configuration. It makes the directory that sshd may miss.
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

// maxMissing is how often one question to sshd may find its directory gone.
const maxMissing = 10

// missingDirectory is how sshd says, at its start or in the middle of a login, that its privilege separation directory is
// not there. The latter it says of a ChrootDirectory too, but of none in /run.
var missingDirectory = regexp.MustCompile(
	`Missing privilege separation directory: (/[^\r\n]+)|chroot\("((?:/var)?/run/[^"/]+)"\): No such file`)

// madeMissingDirectory makes the privilege separation directory if sshd says that it is missing, which is how an sshd
// that does not run answers every question. It is the empty directory that whoever starts sshd makes first, on a file
// system that a boot empties: it stays, as an sshd that has started in it needs it. Where systemd starts an sshd for each
// connection, as with Debian 11's ssh.socket, it takes the directory away with each that ends.
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

// complaint is what sshd said, on one line, or why it said nothing.
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
