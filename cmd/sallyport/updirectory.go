package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/sallyport/sallyport/internal/daemon"
	"github.com/sallyport/sallyport/internal/durable"
)

// upDirectory is the directory in which `up` keeps everything, so that `down --purge` can remove it.
type upDirectory string

// rootUpDirectory is root's upDirectory. sshd requires that only root can write to the path of the programs it runs,
// and that the user it runs them as can traverse it.
const rootUpDirectory = upDirectory("/var/lib/sallyport/up")

// findUpDirectory returns root's directory, or for another user one in their home.
func findUpDirectory() (upDirectory, error) {
	if os.Geteuid() == 0 {
		return rootUpDirectory, nil
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return upDirectory(filepath.Join(data, "sallyport")), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find your home directory: %w", err)
	}
	return upDirectory(filepath.Join(home, ".local", "share", "sallyport")), nil
}

func (d upDirectory) path(names ...string) string {
	return filepath.Join(append([]string{string(d)}, names...)...)
}

func (d upDirectory) data() string        { return d.path("data") }
func (d upDirectory) host() string        { return d.path("host") }
func (d upDirectory) sshd() string        { return d.path("sshd") }
func (d upDirectory) program() string     { return d.path("bin", "sallyport") }
func (d upDirectory) hostProgram() string { return d.path("bin", "sallyport-host") }
func (d upDirectory) controlPlane(port int) daemon.Daemon {
	log := d.path("control-plane.log")
	return daemon.Daemon{
		Name: "control plane", Program: d.program(),
		Args: []string{
			"serve", "--data", d.data(), "--listen", net.JoinHostPort(loopback, strconv.Itoa(port)),
			"--bound-log", log, "--bound-log", privateSSHD{directory: d.sshd()}.daemon().Log,
		},
		Log: log, Record: d.path("control-plane.process"),
	}
}

// lock prevents two runs of `up` and `down` at the same time, until the returned function is called or the process
// ends.
func (d upDirectory) lock() (unlock func() error, err error) {
	file, err := os.Open(string(d))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another sallyport up or down is at work in %s: wait for it to end", d)
	}
	return file.Close, nil
}

// upState is what `up` remembers between runs.
type upState struct {
	Port    int `json:"port"`    // of the control plane
	SSHPort int `json:"sshPort"` // of the private sshd
}

func (d upDirectory) readState() (upState, error) {
	var state upState
	text, err := os.ReadFile(d.path("up.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	return state, err
}

func (d upDirectory) writeState(state upState) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return durable.WriteFile(d.path("up.json"), append(text, '\n'), 0o644)
}

// freePort returns the remembered port or, if there is none or it is in use, the next free one from first on.
func freePort(remembered, first int) (int, error) {
	const tries = 200
	candidates := []int{}
	if remembered != 0 {
		candidates = append(candidates, remembered)
	}
	for port := first; port < first+tries; port++ {
		candidates = append(candidates, port)
	}
	for _, port := range candidates {
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err == nil {
			listener.Close()
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free on %s", first, first+tries-1, loopback)
}

// copyProgram updates a copy of a program and reports whether it had changed.
func copyProgram(from, to string) (changed bool, err error) {
	fresh, err := os.ReadFile(from)
	if err != nil {
		return false, err
	}
	if old, err := os.ReadFile(to); err == nil && bytes.Equal(old, fresh) {
		return false, nil
	}
	return true, durable.WriteFile(to, fresh, 0o755)
}
