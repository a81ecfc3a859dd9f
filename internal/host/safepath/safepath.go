// Package safepath checks programs by the rule that sshd applies to its AuthorizedKeysCommand. It imports little, as
// the keys helper depends on it: see package keys.
package safepath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Check returns nil if sshd would run the program: root must own it and every directory above it, and no other user may
// be able to write to them (sshd_config(5), AuthorizedKeysCommand). Components that do not exist yet are ignored.
// Symbolic links are followed, as sshd does. The error names the component at fault and says how to mend it, in
// sentences.
func Check(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New(path + " is not an absolute path, and sshd accepts no other.")
	}
	if strings.ContainsFunc(path, unusable) {
		return errors.New(strconv.Quote(path) + " has a character that sshd_config cannot hold in a command: " +
			"white space, quotes, '%', '#' or '\\'. Choose another path.")
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
		if err := check(component, info); err != nil {
			return err
		}
		if component == "/" {
			return nil
		}
	}
}

// unusable reports whether sshd would not take the character literally within AuthorizedKeysCommand.
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

func check(component string, info fs.FileInfo) error {
	const refused = ", so sshd would refuse to run a command from there. Run: "
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case !ok || stat.Uid != 0:
		return errors.New(component + " does not belong to root" + refused + "chown root " + component)
	case mode&0o022 != 0:
		return errors.New(component + " can be written by others than root (mode 0" +
			strconv.FormatUint(uint64(mode), 8) + ")" + refused + "chmod go-w " + component)
	}
	return nil
}
