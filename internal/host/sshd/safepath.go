package sshd

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sallyport/sallyport/internal/fault"
)

// CheckSafePath holds a program to sshd's rule for an AuthorizedKeysCommand: it and every directory above it
// belong to root and can be written by nobody else. What does not exist yet is passed over. The error is a
// Denied fault that names the component at fault. Symbolic links are followed, as sshd does.
func CheckSafePath(path string) error {
	if !filepath.IsAbs(path) {
		return fault.New(fault.Invalid, "path", "%s is not an absolute path, and sshd accepts no other.", path)
	}
	if strings.ContainsFunc(path, unusable) {
		return fault.New(fault.Invalid, "path", "%q has a character that sshd_config cannot hold in a command: white space, quotes, '%%', '#' or '\\'. Choose another path.", path)
	}
	resolved, err := resolveExisting(filepath.Clean(path))
	if err != nil {
		return err
	}
	for component := resolved; ; component = filepath.Dir(component) {
		info, err := os.Lstat(component)
		if err != nil {
			return err
		}
		if err := checkSafe(component, info); err != nil {
			return err
		}
		if component == "/" {
			return nil
		}
	}
}

// unusable tells which characters sshd would not take literally within AuthorizedKeysCommand.
func unusable(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`"'%#\`, r) }

// resolveExisting follows the symbolic links of the longest part of the path that exists.
func resolveExisting(path string) (string, error) {
	for {
		resolved, err := filepath.EvalSymlinks(path)
		if err == nil || !os.IsNotExist(err) || path == "/" {
			return resolved, err
		}
		path = filepath.Dir(path)
	}
}

func checkSafe(component string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || stat.Uid != 0:
		return fault.New(fault.Denied, "path", "%s does not belong to root, so sshd would refuse to run a command from there. Run: chown root %s", component, component)
	case info.Mode().Perm()&0o022 != 0:
		return fault.New(fault.Denied, "path", "%s can be written by others than root (mode %04o), so sshd would refuse to run a command from there. Run: chmod go-w %s", component, info.Mode().Perm(), component)
	}
	return nil
}
